package plan

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/split"
	"skerry/appliance/predict"
	"skerry/build/testleak"
)

func TestMain(m *testing.M) { testleak.Main(m) }

// What a GGUF would be split into is what its bundle is.
func TestReadModel(t *testing.T) {
	src := bundletest.Synth(t, "tiny", "q8_0")
	dir := filepath.Join(t.TempDir(), "bundle")
	if _, err := split.Model(t.Context(), src, dir, split.Options{Type: "keep"}); err != nil {
		t.Fatal(err)
	}
	of, is := read(t, src), read(t, dir)
	if !slices.Equal(of.Exits, is.Exits) || of.Blocks != is.Blocks || of.KVBytes != is.KVBytes || of.KVBytes == 0 {
		t.Errorf("of the GGUF %+v, of its bundle %+v", of, is)
	}
	if d := of.Split - is.Split; d > .02 || d < -.02 || !(is.Split > 0 && is.Split < 1) {
		t.Errorf("the first stage is %.3f of the GGUF's pass, %.3f of its bundle's", of.Split, is.Split)
	}
	if d := float64(of.BoardBytes)/float64(is.BoardBytes) - 1; d > .15 || d < -.3 { // each stage has its own head
		t.Errorf("the board's part is %d bytes, of the bundle %d", of.BoardBytes, is.BoardBytes)
	}
	if len(is.drafts) != 2 || is.drafts[0].lacking == "" || !is.drafts[1].lookup {
		t.Errorf("ways to draft: %+v", is.drafts)
	}
	if _, err := ReadModel(filepath.Join(dir, "none")); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("of nothing: %v", err)
	}
}

func read(t *testing.T, path string) *Model {
	t.Helper()
	m, err := ReadModel(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// pair is a model of 1.5 billion parameters with one of 0.5 billion as its draft, and exits.
func pair() *Model {
	exits := &predict.Exits{First: .33, Second: .66, Head: .1, Share1: .05, Share2: .1, Right: .9, Acceptance: .35}
	return &Model{
		Name: "pair", Blocks: 28, Exits: []int{9, 19}, WholeBytes: 1.1e9, BoardBytes: 8e8, PassBytes: 1e9, KVBytes: 28672, Embedding: 1536, Split: .27,
		drafts: []candidate{
			{name: "small", file: "draft.gguf", bytes: 4.9e8, threshold: .8, draft: &predict.Draft{Cost: .36, Acceptance: .913, Believed: []predict.Believed{{Confidence: .8, Share: .77, Right: .986}}}},
			{name: "exits", exits: exits, draft: &predict.Draft{Unfit: "unfit"}},
			{name: "prompt lookup", lookup: true},
		},
	}
}

func flags() Profile {
	return Profile{Pass: 35 * time.Millisecond, Batch: "2=0.05", CloudBatch: "2=0.05", May: "text", Lookup: "0,0", Prompt: 16, Answer: 128}
}

func TestPlan(t *testing.T) {
	const cloud = 35 * time.Millisecond
	for _, c := range []struct {
		name              string
		change            func(*Options)
		mode, with, third string // third: why another cannot be had
	}{
		{"alone, a draft pays", func(o *Options) {}, predict.UnsplitDraft, "small", ""},
		{"alone, batches cost as much as passes", func(o *Options) { o.Batch = "2=1" }, predict.Unsplit, "", ""},
		{"a cloud that is as fast as the board, near by", func(o *Options) { o.CloudPass, o.RTT = cloud, 3*time.Millisecond }, predict.Verified, "small", ""},
		{"the same far away", func(o *Options) { o.CloudPass, o.RTT, o.Batch = cloud, 200*time.Millisecond, "2=1" }, predict.CloudLed, "small", ""},
		{"one near by without a mode in which the cloud drafts", func(o *Options) {
			o.CloudPass, o.RTT, o.Batch = cloud, 3*time.Millisecond, "2=1"
			o.Has = func(m string) bool { return m != predict.CloudLed && m != predict.UnsplitDraft }
		}, predict.Verified, "small", notHere},
		{"a cloud far away", func(o *Options) {
			o.CloudPass, o.RTT, o.Batch = cloud, 300*time.Millisecond, "2=1"
			o.Has = func(m string) bool { return m != predict.CloudLed && m != predict.CloudOnly }
		}, predict.Unsplit, "", ""},
		{"a cloud that may see nothing", func(o *Options) { o.CloudPass, o.May, o.Batch = cloud, "nothing", "2=1" }, predict.Unsplit, "", "may see nothing"},
		{"a bound within which the draft may speak", func(o *Options) { o.Wrong = 10; o.Batch = "2=1" }, predict.Standalone, "small", ""},
		{"no room for the whole", func(o *Options) { o.Room, o.CloudPass, o.May = 12e8, cloud, "hidden" }, predict.Verified, "exits", "no room"},
		{"a worse draft than was measured", func(o *Options) { o.Acceptance = .1 }, predict.Unsplit, "", ""},
	} {
		o := Options{Profile: flags()}
		c.change(&o)
		p, err := Make(pair(), o)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if p.Mode != c.mode || p.Draft != c.with {
			t.Errorf("%s: %s with %q, not %s with %q", c.name, p.Mode, p.Draft, c.mode, c.with)
		}
		var text strings.Builder
		if err := p.Text(&text, plainTable); err != nil || !strings.Contains(text.String(), c.third) {
			t.Errorf("%s: %v, %s", c.name, err, text.String())
		}
	}
}

func plainTable(w io.Writer, rows ...[]string) error {
	for _, r := range rows {
		io.WriteString(w, strings.Join(r, " | ")+"\n")
	}
	return nil
}

// What is measured, or by memory's speed, stands in for what is not given; each assumption is
// told.
func TestSpeed(t *testing.T) {
	o := Options{Profile: flags(), Bandwidth: func() float64 { return 1e10 }}
	o.Pass, o.Batch = 0, ""
	p, err := Make(pair(), o)
	if err != nil {
		t.Fatal(err)
	}
	if want := 1e9 / (1e10 * BandwidthShare); p.Pass < want*.999 || p.Pass > want*1.001 {
		t.Errorf("a pass takes %g s, not %g", p.Pass, want)
	}
	if told := strings.Join(p.Assumed, "\n"); !strings.Contains(told, "10.0 GB/s") || !strings.Contains(told, "--batch") || !strings.Contains(told, "no cloud") {
		t.Errorf("told: %s", told)
	}
	o.Measured = &Measured{Pass: .05, Batch: predict.EvenBatch(.1), Draft: .01}
	if p, err = Make(pair(), o); err != nil || p.Pass != .05 || p.Mode != predict.UnsplitDraft || len(p.Assumed) != 1 {
		t.Errorf("measured: %+v, %v", p, err)
	}
}

func TestBadProfiles(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"batch": func(o *Options) { o.Batch = "2" }, "lookup": func(o *Options) { o.Lookup = "1.5,0" }, "cloud's batch": func(o *Options) { o.CloudBatch = "1=0.5" },
		"negative pass": func(o *Options) { o.Pass = -1 }, "disagreement": func(o *Options) { o.Wrong = 101 },
	} {
		o := Options{Profile: flags()}
		change(&o)
		if _, err := Make(pair(), o); !errors.As(err, new(*ProfileError)) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Options){
		"answer": func(o *Options) { o.Answer = 0 }, "acceptance": func(o *Options) { o.Acceptance = 2 }, "rtt": func(o *Options) { o.RTT = -1 }, "loss": func(o *Options) { o.Loss = 101 },
	} {
		o := Options{Profile: flags()}
		change(&o)
		if _, err := Make(pair(), o); !errors.Is(err, predict.ErrCase) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := Options{Profile: flags(), Room: 1e6}
	if _, err := Make(pair(), o); !errors.Is(err, ErrNoMode) || !strings.Contains(err.Error(), "no room") {
		t.Errorf("no room: %v", err)
	}
}

func TestRecommend(t *testing.T) {
	r, err := Recommend(Wants{Memory: 8, Bandwidth: 9, Least: 5}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if r.Name != "qwen2.5-coder-1.5b" || r.Size != "1.5B" {
		t.Errorf("%s and %s are recommended", r.Name, r.Size)
	}
	if !slices.IsSortedFunc(r.Models, func(a, b Candidate) int { return int(a.Bytes - b.Bytes) }) {
		t.Errorf("not by size: %+v", r.Models)
	}
	for _, c := range r.Models {
		if want := 9e9 * BandwidthShare / float64(c.Bytes); c.Fits && (c.Rate < want*.999 || c.Rate > want*1.001) || !c.Fits && c.Rate != 0 {
			t.Errorf("%s: %g tokens/s, not %g", c.Name, c.Rate, want)
		}
		if c.Fits && c.Needs > 8e9 || c.Fits && !c.Shared {
			t.Errorf("%+v", c)
		}
	}
	var text strings.Builder
	if err := r.Text(&text, plainTable); err != nil || !strings.Contains(text.String(), "--draft qwen2.5-coder-0.5b") {
		t.Errorf("%v, %s", err, text.String())
	}
	if r, err = Recommend(Wants{Bandwidth: .01, Least: 5}, 1e9); err != nil || r.Name != "" || r.Size != "" {
		t.Errorf("of a board that is too slow: %+v, %v", r, err)
	}
	if _, err = Recommend(Wants{Memory: -1}, 0); err == nil {
		t.Error("negative memory is taken")
	}
}

func TestBandwidth(t *testing.T) {
	if b := Bandwidth(); !(b > 1e6 && b < 1e14) {
		t.Errorf("memory yields %g bytes a second", b)
	}
}

func FuzzProfile(f *testing.F) {
	for _, s := range []string{"", "2=0.94,4=0.79", "0.08,0.7", "=", "2=NaN", "9999999999999999999=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := parseBatch("--batch", s); err == nil {
			for _, p := range b {
				if p.Rows < 2 || !(p.Share >= 0) {
					t.Fatalf("%q is read as %+v", s, b)
				}
			}
		} else if !errors.As(err, new(*ProfileError)) {
			t.Fatal(err)
		}
		if l, err := parseLookup(s); err == nil && !(l.Share >= 0 && l.Share <= 1 && l.Acceptance >= 0 && l.Acceptance <= 1) {
			t.Fatalf("%q is read as %+v", s, l)
		}
	})
}
