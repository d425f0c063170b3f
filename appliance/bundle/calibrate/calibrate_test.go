package calibrate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/parity"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
	"skerry/appliance/engine"
	"skerry/build/testleak"
	"skerry/build/testshort"
)

func TestMain(m *testing.M) {
	fmt.Println("kernels:", engine.Init(""))
	testleak.Main(m)
}

// tiny makes a bundle of random weights and a text to fit to.
func tiny(t *testing.T) (dir, file string) {
	t.Helper()
	if t.Name() != "TestRunFitsHeadsAndSaysWhatTheyAreWorth" {
		testshort.Skip(t, "it calibrates a model")
	}
	work := t.TempDir()
	src := filepath.Join(work, "tiny.gguf")
	if err := synth.Write(t.Context(), "tiny", src, synth.Options{Seed: 1}); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(work, "b")
	if _, err := split.Model(t.Context(), src, dir, split.Options{Type: split.TypeKeep, Parity: parity.Check}); err != nil {
		t.Fatal(err)
	}
	return dir, write(t, filepath.Join(work, "text"), words(20_000))
}

// words are paragraphs of n characters from a small lexicon.
func words(n int) string {
	lexicon := strings.Fields("tide rock lamp keeper storm gull rope harbour fog bell wave boat light stone salt wind")
	r := rand.New(rand.NewPCG(9, 9))
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(lexicon[r.IntN(len(lexicon))])
		b.WriteByte(' ')
		if r.IntN(40) == 0 {
			b.WriteString("\n\n")
		}
	}
	return b.String()
}

func write(t *testing.T, path, s string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(s), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func options(file string) Options {
	return Options{Texts: []string{file}, Tokens: 4200, Steps: 10, Seed: 1, Threads: 1, tune: 100, report: 300, prompts: 4,
		Cache: filepath.Join(filepath.Dir(file), "calibration")}
}

// files is what lies in a directory, by content.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(b)
	}
	return out
}

const stepCount = 14 // confidences in a report

func TestRunFitsHeadsAndSaysWhatTheyAreWorth(t *testing.T) {
	dir, file := tiny(t)
	before, err := bundle.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	o := options(file)
	o.Progress = func(step string, done, total int64) {
		if done > total {
			t.Errorf("%s: %d of %d", step, done, total)
		}
		if len(steps) == 0 || steps[len(steps)-1] != step {
			steps = append(steps, step)
		}
	}
	r, err := Run(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) < 3 {
		t.Errorf("progress was %v", steps)
	}
	b, err := bundle.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if b.Manifest.ID() != before.ID() {
		t.Error("the bundle's id has changed: clouds would refuse its boards")
	}
	if !reflect.DeepEqual(b.Manifest.Heads, r.Heads) || !reflect.DeepEqual(b.Manifest.Calibration, r.Calibration) {
		t.Error("the manifest says another thing than the result")
	}
	c := r.Calibration
	if c.Tokens < 3000 || c.Steps != 10 || c.Seed != 1 || len(c.Texts) != 6 {
		t.Errorf("%+v", c)
	}
	for _, x := range c.Texts {
		if x.Tokens == 0 || x.Documents == 0 {
			t.Errorf("nothing was read of %+v", x)
		}
	}
	for i, h := range r.Heads {
		f, err := b.FittedHead(t.Context(), h.Exit)
		if err != nil || f == nil || len(f.Shortlist) != h.Shortlist || h.Kind != bundle.HeadFitted {
			t.Fatalf("head %d: %+v %v", i, h, err)
		}
		if h.Cost <= 0 || h.RawCost <= 0 || len(h.Measured) != stepCount || h.Measured[0].Share != 1 {
			t.Errorf("%+v", h)
		}
	}
	// Tokens of random weights follow from the last block's state; a fitted exit
	// must be nearer to it than the bare norm and LM head.
	for _, d := range c.Depths {
		if d.Fitted < d.Raw {
			t.Errorf("after block %d the fitted head agrees on %.3f, the raw one on %.3f", d.Block, d.Fitted, d.Raw)
		}
	}
	first := files(t, dir)
	again, err := Run(t.Context(), dir, options(file))
	if err != nil {
		t.Fatal(err)
	}
	for i := range again.Heads {
		if again.Heads[i].SHA256 != r.Heads[i].SHA256 {
			t.Error("the same seed gives another head")
		}
	}
	o = options(file)
	o.Seed = 2
	if _, err := Run(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	if now := files(t, dir); len(now) != len(first) || now[r.Heads[0].File] != "" {
		t.Errorf("old heads are left: %d files, then %d", len(first), len(now))
	}
}

func TestBadTextLeavesTheBundle(t *testing.T) {
	dir, file := tiny(t)
	work := filepath.Dir(file)
	if _, err := Run(t.Context(), dir, options(file)); err != nil {
		t.Fatal(err)
	}
	was := files(t, dir)
	for name, c := range map[string]struct{ path, want string }{
		"malformed":  {write(t, filepath.Join(work, "latin1"), words(9000)+"caf\xe9"), "byte 90"},
		"binary":     {write(t, filepath.Join(work, "nul"), words(9000)+"\x00"), "is not UTF-8 text"},
		"empty":      {write(t, filepath.Join(work, "empty"), " \n\n \n"), "it is empty"},
		"one":        {write(t, filepath.Join(work, "one"), "A lamp."), "too little text"},
		"too little": {write(t, filepath.Join(work, "little"), words(5000)[:4100]+"\n\nmore\n\n"), "too little text"},
		"a folder":   {work, "no file"},
		"no file":    {filepath.Join(work, "nothing"), "give a text file"},
	} {
		_, err := Run(t.Context(), dir, options(c.path))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(files(t, dir), was) {
			t.Errorf("%s: the bundle has changed", name)
		}
	}
}

// However far a calibration got, ending it leaves the bundle as it was.
func TestCancel(t *testing.T) {
	dir, file := tiny(t)
	was := files(t, dir)
	for _, step := range []string{"read and write", "refine", "measure"} {
		ctx, cancel := context.WithCancel(t.Context())
		o := options(file)
		o.Progress = func(s string, done, _ int64) {
			if s == step && done > 0 {
				cancel()
			}
		}
		_, err := Run(ctx, dir, o)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", step, err)
		}
		if !reflect.DeepEqual(files(t, dir), was) {
			t.Errorf("%s: the bundle has changed", step)
		}
		cancel()
	}
	release, err := disk.Lock(dir)
	if err != nil {
		t.Fatalf("the lock is still held: %v", err)
	}
	defer release()
	if _, err := Run(t.Context(), dir, options(file)); !errors.Is(err, disk.ErrBusy) {
		t.Errorf("beside another writer: %v", err)
	}
}

func TestDiskFull(t *testing.T) {
	dir, file := tiny(t)
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("skipped: no small file system to be had: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(small, unix.MNT_DETACH) })
	full := filepath.Join(small, "b")
	if err := os.CopyFS(full, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	was := files(t, full)
	var st unix.Statfs_t
	if err := unix.Statfs(small, &st); err != nil {
		t.Fatal(err)
	}
	fill := make([]byte, int64(st.Bavail)*st.Bsize)
	if err := os.WriteFile(filepath.Join(small, "fill"), fill, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Run(t.Context(), full, options(file))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("on a full disk: %v", err)
	}
	if !reflect.DeepEqual(files(t, full), was) {
		t.Error("the bundle has changed")
	}
}

func TestNoUnsplit(t *testing.T) {
	dir, file := tiny(t)
	if err := os.Remove(filepath.Join(dir, bundle.Unsplit.File())); err != nil {
		t.Fatal(err)
	}
	_, err := Run(t.Context(), dir, options(file))
	if !errors.Is(err, bundle.ErrMissing) || !strings.Contains(err.Error(), "--no-unsplit") {
		t.Errorf("%v", err)
	}
}

// A head file that was altered, or belongs elsewhere, is refused when the bundle opens.
func TestDamagedHead(t *testing.T) {
	dir, file := tiny(t)
	r, err := Run(t.Context(), dir, options(file))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, r.Heads[0].File)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-9] ^= 1
	write(t, path, string(b))
	if _, err := bundle.Open(t.Context(), dir, bundle.Board1); !errors.Is(err, bundle.ErrCorrupt) {
		t.Errorf("altered: %v", err)
	}
	if _, err := bundle.Open(t.Context(), dir, bundle.Cloud); err != nil {
		t.Errorf("the cloud needs no heads: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Open(t.Context(), dir, bundle.Board1); !errors.Is(err, bundle.ErrMissing) {
		t.Errorf("missing: %v", err)
	}
}
