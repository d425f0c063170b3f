package fetch

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
)

// origin has files in memory, and lies or breaks off where a test wants it.
type origin struct {
	files map[string][]byte
	sent  map[string]int // bytes of each
	stop  int            // bytes after which it breaks off; 0: never
}

var errBroke = errors.New("the link is gone")

func (o *origin) Get(_ context.Context, file string, from, most int64, take func([]byte) error) error {
	b, ok := o.files[file]
	if !ok {
		return errors.New("no such file")
	}
	for len(b[from:]) > 0 {
		piece := b[from:min(len(b), int(from)+1000)]
		if o.stop > 0 && o.sent[file]+len(piece) > o.stop {
			return errBroke
		}
		if err := take(piece); err != nil {
			return err
		}
		o.sent[file] += len(piece)
		from += int64(len(piece))
	}
	return nil
}

func newOrigin(t *testing.T) (*origin, *bundle.Manifest) {
	t.Helper()
	return originOf(t, split.Options{})
}

func originOf(t *testing.T, opt split.Options) (*origin, *bundle.Manifest) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a")
	opt.Exits = []int{2, 4}
	m := splitInto(t, bundletest.Synth(t, "tiny", "q4_0"), dir, opt)
	o := &origin{files: map[string][]byte{}, sent: map[string]int{}}
	b, err := bundle.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range b.Served() {
		if o.files[f.Name], err = os.ReadFile(f.Path); err != nil || int64(len(o.files[f.Name])) != f.Bytes {
			t.Fatal(f, err)
		}
		if want := f.Name == "unsplit.gguf" || f.Name == "cloud.gguf"; f.Extra != want {
			t.Errorf("%s: extra is %v", f.Name, f.Extra)
		}
	}
	os.Remove(filepath.Join(dir, "board-2.gguf"))
	if left := b.Served(); left != nil {
		t.Errorf("a bundle without a board's file is served: %v", left)
	}
	return o, m
}

func pulledTree(t *testing.T, parent string) string {
	t.Helper()
	return strings.Join(slices.Sorted(maps.Keys(bundletest.Tree(t, parent))), " ")
}

// TestPull: what comes is a bundle a board opens, a pull that broke off is gone on
// with, and one that is there costs its manifest.
func TestPull(t *testing.T) {
	o, m := newOrigin(t)
	parent := t.TempDir()
	dir := filepath.Join(parent, DirName(m.Name, m.ID()))
	o.stop = 5000
	if _, err := Pull(t.Context(), m.ID(), dir, o, PullOptions{}); !errors.Is(err, errBroke) {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("half a bundle stands where a whole one belongs")
	}
	first := o.sent["board-1.gguf"]
	o.stop = 0
	var asked int64
	b, err := Pull(t.Context(), m.ID(), dir, o, PullOptions{Afford: func(n int64) error { asked = n; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range o.sent {
		if name != bundle.ManifestFile && n != len(o.files[name]) {
			t.Errorf("%d bytes of %s were sent, it has %d", n, name, len(o.files[name]))
		}
	}
	if want := int64(len(o.files["board-1.gguf"]) + len(o.files["board-2.gguf"]) - first); asked != want {
		t.Errorf("asked whether %d bytes may be fetched, %d were missing", asked, want)
	}
	if b.Dir != dir || b.Manifest.ID() != m.ID() || o.sent["unsplit.gguf"] != 0 || o.sent["cloud.gguf"] != 0 {
		t.Errorf("%+v, sent %v", b, o.sent)
	}
	base := filepath.Base(dir)
	if got := pulledTree(t, parent); got != "/"+base+"/board-1.gguf /"+base+"/board-2.gguf /"+base+"/manifest.json" {
		t.Errorf("left %s", got)
	}
	before := maps.Clone(o.sent)
	if _, err := Pull(t.Context(), m.ID(), dir, o, PullOptions{}); err != nil {
		t.Error(err)
	}
	before[bundle.ManifestFile] = o.sent[bundle.ManifestFile]
	if !maps.Equal(before, o.sent) {
		t.Errorf("fetched again what is there: %v, then %v", before, o.sent)
	}
	// The whole model is two more files of the same bundle.
	if _, err := Pull(t.Context(), m.ID(), dir, o, PullOptions{Whole: true}); err != nil {
		t.Error(err)
	}
	if _, err := bundle.Open(t.Context(), dir, bundle.Board1, bundle.Board2, bundle.Cloud, bundle.Unsplit); err != nil {
		t.Error(err)
	}
}

// TestPullDraft: a draft comes along with what a board needs, also where the bundle is
// there without it.
func TestPullDraft(t *testing.T) {
	small := filepath.Join(t.TempDir(), "small.gguf")
	if err := synth.Write(t.Context(), "tiny", small, synth.Options{Seed: 9}); err != nil {
		t.Fatal(err)
	}
	plain, _ := newOrigin(t)
	o, m := originOf(t, split.Options{Draft: small})
	dir := filepath.Join(t.TempDir(), "b")
	for range 2 {
		if b, err := Pull(t.Context(), m.ID(), dir, plain, PullOptions{}); err != nil || b.Manifest.Draft != nil {
			t.Fatal(err)
		}
		b, err := Pull(t.Context(), m.ID(), dir, o, PullOptions{})
		if err != nil || b.Manifest.Draft == nil || b.Manifest.Draft.SHA256 != m.Draft.SHA256 {
			t.Fatal(err)
		}
		if _, err := bundle.Open(t.Context(), dir, bundle.Board1, bundle.Board2, bundle.DraftModel); err != nil {
			t.Fatal(err)
		}
	}
	sent := o.sent["draft.gguf"]
	if _, err := Pull(t.Context(), m.ID(), dir, o, PullOptions{}); err != nil || sent == 0 || o.sent["draft.gguf"] != sent {
		t.Errorf("%d bytes of the draft were sent, then %d: %v", sent, o.sent["draft.gguf"], err)
	}
}

// drafted are the files of a bundle with a draft of random weights.
func drafted(t *testing.T, seed uint64) (*origin, *bundle.Manifest) {
	t.Helper()
	small := filepath.Join(t.TempDir(), "small.gguf")
	if err := synth.Write(t.Context(), "tiny", small, synth.Options{Seed: seed}); err != nil {
		t.Fatal(err)
	}
	return originOf(t, split.Options{Draft: small})
}

// TestPullDraftReplaced: a draft that was replaced in the cloud while a pull was broken off
// is fetched anew, once, and what that takes is asked for.
func TestPullDraftReplaced(t *testing.T) {
	one, m := drafted(t, 9)
	two, other := drafted(t, 10)
	if m.ID() != other.ID() || m.Draft.SHA256 == other.Draft.SHA256 {
		t.Fatal("the bundles differ in more than their draft, or not at all")
	}
	dir := filepath.Join(t.TempDir(), "b")
	broken := &origin{files: maps.Clone(one.files), sent: map[string]int{}}
	half := m.Draft.Bytes / 2
	broken.files["draft.gguf"] = one.files["draft.gguf"][:half]
	take := errors.New("the link is gone")
	cut := cutAt{broken, "draft.gguf", take}
	if _, err := Pull(t.Context(), m.ID(), dir, cut, PullOptions{}); !errors.Is(err, take) {
		t.Fatal(err)
	}
	var asked []int64
	b, err := Pull(t.Context(), m.ID(), dir, two, PullOptions{Afford: func(n int64) error { asked = append(asked, n); return nil }})
	if err != nil || b.Manifest.Draft == nil || b.Manifest.Draft.SHA256 != other.Draft.SHA256 {
		t.Fatal(err)
	}
	whole := other.Draft.Bytes
	if want := []int64{whole - half, whole}; !slices.Equal(asked, want) || two.sent["draft.gguf"] != int(2*whole-half) {
		t.Errorf("asked for %v bytes, want %v, and %d were sent", asked, want, two.sent["draft.gguf"])
	}
	if _, err := bundle.Open(t.Context(), dir, bundle.Board1, bundle.Board2, bundle.DraftModel); err != nil {
		t.Error(err)
	}
}

// cutAt is an origin whose link goes once a file is sent.
type cutAt struct {
	*origin
	file string
	err  error
}

func (c cutAt) Get(ctx context.Context, file string, from, most int64, take func([]byte) error) error {
	if err := c.origin.Get(ctx, file, from, most, take); err != nil || file != c.file {
		return err
	}
	return c.err
}

// TestPullDamagedDraft: a draft that is damaged in the cloud, or is no model, costs the draft
// alone, and the next pull fetches that alone.
func TestPullDamagedDraft(t *testing.T) {
	o, m := drafted(t, 9)
	good := o.files["draft.gguf"]
	for name, damage := range map[string]func([]byte) []byte{
		"a byte":    func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"too short": func(b []byte) []byte { return b[:len(b)-7] },
		"too long":  func(b []byte) []byte { return append(b, 7) },
	} {
		dir := filepath.Join(t.TempDir(), "b")
		var steps []string
		opt := PullOptions{Progress: func(step string, _, _ int64) { steps = append(steps, step) }}
		o.sent = map[string]int{}
		o.files["draft.gguf"] = damage(bytes.Clone(good))
		for range 2 {
			b, err := Pull(t.Context(), m.ID(), dir, o, opt)
			if err != nil || b.Manifest.Draft != nil || b.Manifest.Format != bundle.Format {
				t.Fatalf("%s: %v", name, err)
			}
			if err := bundle.Verify(t.Context(), dir); err == nil || !errors.Is(err, bundle.ErrMissing) {
				t.Errorf("%s: %v", name, err) // only the cloud's file is missing
			}
			if _, err := bundle.Open(t.Context(), dir, bundle.Board1, bundle.Board2); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if !slices.ContainsFunc(steps, func(s string) bool {
			return strings.Contains(s, "without the draft") && strings.Contains(s, "draft.gguf") && !strings.Contains(s, "\n")
		}) {
			t.Errorf("%s: nobody says so: %q", name, slices.Compact(steps))
		}
		if got := pulledTree(t, filepath.Dir(dir)); strings.Contains(got, "draft") {
			t.Errorf("%s: left %s", name, got)
		}
		o.files["draft.gguf"] = good
		var asked int64
		opt.Afford = func(n int64) error { asked = n; return nil }
		b, err := Pull(t.Context(), m.ID(), dir, o, opt)
		if err != nil || b.Manifest.Draft == nil || asked != m.Draft.Bytes || o.sent["board-1.gguf"] != len(o.files["board-1.gguf"]) {
			t.Errorf("%s: %d bytes asked for, of board-1.gguf %d sent, %v", name, asked, o.sent["board-1.gguf"], err)
		}
		if _, err := bundle.Open(t.Context(), dir, bundle.Board1, bundle.Board2, bundle.DraftModel); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPullTakesOver: of a bundle that is there only what is as it should be is taken.
func TestPullTakesOver(t *testing.T) {
	plain, m := newOrigin(t)
	o, _ := drafted(t, 9)
	dir := filepath.Join(t.TempDir(), "b")
	if _, err := Pull(t.Context(), m.ID(), dir, plain, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "board-2.gguf")
	spoilt := bytes.Clone(o.files["board-2.gguf"])
	spoilt[5000] ^= 1
	if err := os.WriteFile(path, spoilt, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Pull(t.Context(), m.ID(), dir, o, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if o.sent["board-1.gguf"] != 0 || o.sent["board-2.gguf"] != len(spoilt) {
		t.Errorf("sent %v", o.sent)
	}
	if _, err := bundle.Open(t.Context(), dir, bundle.Board1, bundle.Board2, bundle.DraftModel); err != nil {
		t.Error(err)
	}
}

// TestPullRefuses: whatever the other side sends, no bundle stands there that is not
// the one that was wanted.
func TestPullRefuses(t *testing.T) {
	o, m := newOrigin(t)
	big := errors.New("the month has 3 MB left")
	for name, c := range map[string]struct {
		change func(o *origin, id *[32]byte, opt *PullOptions)
		want   error
	}{
		"another bundle": {func(_ *origin, id *[32]byte, _ *PullOptions) { id[0]++ }, bundle.ErrForeign},
		"no manifest":    {func(o *origin, _ *[32]byte, _ *PullOptions) { o.files[bundle.ManifestFile] = []byte("{") }, bundle.ErrManifest},
		"an endless manifest": {func(o *origin, _ *[32]byte, _ *PullOptions) {
			o.files[bundle.ManifestFile] = make([]byte, bundle.MaxManifest+5000)
		}, bundle.ErrManifest},
		"damaged": {func(o *origin, _ *[32]byte, _ *PullOptions) {
			o.files["board-2.gguf"] = bytes.Clone(o.files["board-2.gguf"])
			o.files["board-2.gguf"][5000] ^= 1
		}, ErrChecksum},
		"too long": {func(o *origin, _ *[32]byte, _ *PullOptions) {
			o.files["board-1.gguf"] = append(bytes.Clone(o.files["board-1.gguf"]), make([]byte, 10)...)
		}, ErrChecksum},
		"too short": {func(o *origin, _ *[32]byte, _ *PullOptions) {
			o.files["board-1.gguf"] = o.files["board-1.gguf"][:9000]
		}, ErrChecksum},
		"too dear": {func(_ *origin, _ *[32]byte, opt *PullOptions) { opt.Afford = func(int64) error { return big } }, big},
		"larger than any disk": {func(o *origin, _ *[32]byte, _ *PullOptions) {
			o.files[bundle.ManifestFile] = bytes.Replace(o.files[bundle.ManifestFile], []byte(`"bytes": `), []byte(`"bytes": 9000000000`), -1)
		}, syscall.ENOSPC},
	} {
		lying := &origin{files: maps.Clone(o.files), sent: map[string]int{}}
		id, opt, parent := m.ID(), PullOptions{}, t.TempDir()
		c.change(lying, &id, &opt)
		_, err := Pull(t.Context(), id, filepath.Join(parent, "b"), lying, opt)
		if !errors.Is(err, c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %v", name, err)
		if _, err := os.Stat(filepath.Join(parent, "b")); err == nil {
			t.Errorf("%s: a bundle stands there", name)
		}
		if got := pulledTree(t, parent); strings.Contains(got, ".lock") {
			t.Errorf("%s: left %s", name, got)
		}
	}
	own := filepath.Join(t.TempDir(), "mine")
	os.MkdirAll(own, 0o755)
	os.WriteFile(filepath.Join(own, "letter.txt"), nil, 0o644)
	if _, err := Pull(t.Context(), m.ID(), own, o, PullOptions{}); err == nil || !strings.Contains(err.Error(), "is no bundle") {
		t.Errorf("a directory of somebody's: %v", err)
	}
}

func TestDirName(t *testing.T) {
	for name, want := range map[string]string{
		"smollm2": "smollm2-010203000000", "../../etc": "etc-010203000000", "": "bundle-010203000000", "größe\x00/x": "gr--e--x-010203000000",
		strings.Repeat("a", 300): strings.Repeat("a", 64) + "-010203000000",
	} {
		if got := DirName(name, [32]byte{1, 2, 3}); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}
