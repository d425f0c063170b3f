package calibrate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
	"skerry/build/testshort"
)

// drafted makes a bundle of random weights with a draft model: its own source, or one that
// knows nothing of it.
func drafted(t *testing.T, stranger bool) (dir, file string) {
	t.Helper()
	testshort.Skip(t, "it calibrates a model")
	work := t.TempDir()
	src := filepath.Join(work, "tiny.gguf")
	if err := synth.Write(t.Context(), "tiny", src, synth.Options{Seed: 1}); err != nil {
		t.Fatal(err)
	}
	small := src
	if stranger {
		small = filepath.Join(work, "small.gguf")
		if err := synth.Write(t.Context(), "tiny", small, synth.Options{Seed: 2}); err != nil {
			t.Fatal(err)
		}
	}
	dir = filepath.Join(work, "b")
	if _, err := split.Model(t.Context(), src, dir, split.Options{Exits: []int{2, 4}, Type: split.TypeKeep, Draft: small}); err != nil {
		t.Fatal(err)
	}
	return dir, write(t, filepath.Join(work, "text"), words(20_000))
}

func draftOnly(file string) Options {
	o := options(file)
	o.DraftOnly = true
	return o
}

// A draft that is the model itself is always right, and is found to be; the exits are not
// touched, and the fitted ones stay.
func TestDraftIsMeasuredWithoutTheExits(t *testing.T) {
	dir, file := drafted(t, false)
	before, err := bundle.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), dir, draftOnly(file))
	if err != nil {
		t.Fatal(err)
	}
	m, err := bundle.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m.Draft, r.Draft) || !reflect.DeepEqual(m.Heads, before.Heads) || m.Calibration != nil || r.Heads != nil || m.ID() != before.ID() {
		t.Errorf("%+v, want the result's %+v", m, r)
	}
	d := m.Draft
	if len(d.Measured) != 2 || d.Measured[0].Kind != kindChat || d.Measured[1].Kind != kindText {
		t.Fatalf("%+v", d.Measured)
	}
	for _, k := range d.Measured {
		if k.Agreement < 0.95 || k.Tokens < 200 || len(k.Curve) == 0 || len(k.Calibration) != stepCount || k.Coverage95 == 0 {
			t.Errorf("%+v", k)
		}
	}
	if d.Threshold <= 0 || d.Threshold > 1 || d.Temperature < 0.5 || d.Temperature > 2 || d.Cost <= 0 || d.Bound != nil {
		t.Errorf("%+v", d)
	}
	if f := d.FreeText; f == nil || f.Tokens < 100 || f.Prompts < 2 || math.Abs(f.Perplexity/f.WholePerplexity-1) > 0.2 || math.Abs(f.Distinct-f.WholeDistinct) > 0.1 || f.Perplexity < 1 || !f.Speaks() || f.Sample == "" {
		t.Errorf("%+v", f)
	}
	for _, x := range d.Texts {
		if x.Use == "fit" || x.Tokens == 0 {
			t.Errorf("%+v", x)
		}
	}
	if entries, err := os.ReadDir(options(file).Cache); err == nil && len(entries) > 0 {
		t.Errorf("%d files are left in the cache", len(entries))
	}
}

func TestTokensPerCheck(t *testing.T) {
	said := func(s string) (a []word) {
		for _, c := range s {
			a = append(a, word{right: c == '1'})
		}
		return a
	}
	// Of 2: 110 | 110 | 10 | 0, then 111. Of 4: 110 | 110 | 10 | 0, then 111.
	got := perCheck([]checked{{words: said("110110100")}, {words: said("111")}}, false)
	if want := []bundle.PerCheck{{Drafts: 2, Tokens: 12. / 5}, {Drafts: 4, Tokens: 12. / 5}, {Drafts: 8, Tokens: 12. / 5}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got = perCheck([]checked{{words: said("1111111111")}}, false); got[0].Tokens != 10./4 || got[1].Tokens != 5 || got[2].Tokens != 5 {
		t.Errorf("%+v", got)
	}
	// Prompt lookup is asked first: it has "a b c" again after "x", and is right on two of them.
	d := &document{tokens: []int32{1, 7, 8, 9, 4, 7, 8, 9, 5, 6}, from: 6, greedy: []int32{9, 5, 6, 3}}
	looked := lookUps(d)
	if want := []lookedUp{{true, 1}, {true, 0}, {}, {}}; !reflect.DeepEqual(looked, want) {
		t.Errorf("looked up %+v, want %+v", looked, want)
	}
	// Of 2: the 9 that is looked up and the model's 5, then the drafter's 6 and the model's 3.
	if got = perCheck([]checked{{said("0010"), looked}}, true); got[0].Tokens != 2 || got[2].Tokens != 2 {
		t.Errorf("after lookup: %+v", got)
	}
	if got = perCheck([]checked{{said("0010"), looked}}, false); got[0].Tokens != 4./3 {
		t.Errorf("without: %+v", got)
	}
}

// A draft that knows nothing of the model is never believed.
func TestUselessDraftIsNeverBelieved(t *testing.T) {
	dir, file := drafted(t, true)
	r, err := Run(t.Context(), dir, draftOnly(file))
	if err != nil {
		t.Fatal(err)
	}
	if f := r.Draft.FreeText; f.Tokens == 0 || f.Perplexity < 2*f.WholePerplexity {
		t.Errorf("%+v", f)
	}
	if d := r.Draft; d.Threshold <= 1 || d.Measured[0].Agreement > 0.5 || d.Measured[0].Coverage98 > 0.2 {
		t.Errorf("%+v", d)
	}
}

// A calibration fits the exits and measures the draft; what it had said of the draft when it
// was interrupted is not computed again, and comes to the same.
func TestDraftResumes(t *testing.T) {
	dir, file := drafted(t, false)
	was := files(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := options(file)
	reached := int64(0)
	o.Progress = func(step string, done, total int64) {
		if step == draftStep && done > total/2 {
			reached = done
			cancel()
		}
	}
	if _, err := Run(ctx, dir, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(files(t, dir), was) {
		t.Error("the bundle has changed")
	}
	said, err := filepath.Glob(filepath.Join(o.Cache, "*.words"))
	if err != nil || len(said) == 0 || reached == 0 {
		t.Fatalf("%d of the draft's words are kept, %v", len(said), err)
	}
	kept := map[string]os.FileInfo{}
	for _, path := range said {
		if kept[path], err = os.Stat(path); err != nil {
			t.Fatal(err)
		}
	}
	o.Progress, o.Keep = nil, true
	r, err := Run(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for path, before := range kept {
		if now, err := os.Stat(path); err != nil || !os.SameFile(before, now) {
			t.Errorf("%s was computed again: %v", path, err)
		}
	}
	m, err := bundle.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if f := r.Heads[1].FreeText; f == nil || f.Tokens == 0 || f.WholePerplexity != r.Draft.FreeText.WholePerplexity || r.Heads[0].FreeText != nil {
		t.Errorf("%+v", f)
	}
	if r.Draft == nil || len(r.Heads) != 2 || !reflect.DeepEqual(m.Draft, r.Draft) || m.Calibration == nil {
		t.Errorf("%+v", r)
	}
	once, err := Run(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(once.Draft.Measured, r.Draft.Measured) || once.Draft.Temperature != r.Draft.Temperature {
		t.Error("the same texts come to another measurement")
	}
}

// The bound on the disagreement is one on the draft's, too.
func TestDraftDisagreementIsBounded(t *testing.T) {
	dir, file := drafted(t, false)
	o := draftOnly(file)
	o.MaxDisagreement, o.Reports = 0.3, []string{write(t, filepath.Join(filepath.Dir(file), "report"), words(60_000))}
	r, err := Run(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if b := r.Draft.Bound; b == nil || b.Threshold != r.Draft.Threshold || b.Threshold > 0.5 || b.Measured > 0.3 || b.Documents < documentsFor(0.3) {
		t.Errorf("%+v", r.Draft.Bound)
	}
}

// A draft that was whole at the start and cannot be opened at the end costs the exits nothing.
func TestExitsOutliveTheDraft(t *testing.T) {
	dir, file := drafted(t, false)
	path, notes := filepath.Join(dir, bundle.DraftModel.File()), ""
	o := options(file)
	o.Note = func(format string, args ...any) { notes += fmt.Sprintf(format, args...) }
	o.Progress = func(step string, _, _ int64) {
		if step == "measure" {
			os.Remove(path) // other files may be the same on the disk
			write(t, path, "no model")
		}
	}
	r, err := Run(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	m, err := bundle.ReadManifest(dir)
	if err != nil || m.Calibration == nil || r.Draft != nil || m.Draft.Threshold != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if !strings.Contains(notes, "the draft model is not measured") {
		t.Errorf("%q", notes)
	}
}

func TestDraftOnlyNeedsADraft(t *testing.T) {
	dir, file := drafted(t, false)
	path := filepath.Join(dir, bundle.DraftModel.File())
	if err := os.Remove(path); err != nil { // other files may be the same on the disk
		t.Fatal(err)
	}
	write(t, path, "no model")
	if _, err := Run(t.Context(), dir, draftOnly(file)); !errors.Is(err, bundle.ErrDraft) || !errors.Is(err, bundle.ErrCorrupt) {
		t.Errorf("a corrupt draft: %v", err)
	}
	notes := ""
	o := options(file)
	o.Note = func(format string, args ...any) { notes += format }
	if r, err := Run(t.Context(), dir, o); err != nil || r.Draft != nil || !strings.Contains(notes, "draft") {
		t.Errorf("the exits beside it: %v, %q", err, notes)
	}
	dir, file = tiny(t)
	if _, err := Run(t.Context(), dir, draftOnly(file)); !errors.Is(err, bundle.ErrDraft) || !strings.Contains(err.Error(), "--draft") {
		t.Errorf("no draft: %v", err)
	}
}
