package library

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/synth"
)

// projectorOf makes a projector of random weights, for a model of a width.
func projectorOf(t *testing.T, width int, seed uint64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mmproj.gguf")
	if err := synth.WriteProjector(t.Context(), synth.TinyProjector("idefics3", width), path, seed); err != nil {
		t.Fatal(err)
	}
	return path
}

// seeing is the projector of a bundle, which has to be whole.
func seeing(t *testing.T, m Model) *bundle.Projector {
	t.Helper()
	if m.Manifest.Projector == nil {
		return nil
	}
	b := bundle.Bundle{Dir: m.Dir, Manifest: m.Manifest}
	if err := b.VerifyProjector(t.Context()); err != nil {
		t.Error(err)
	}
	return m.Manifest.Projector
}

// What lies beside a model in its repository to read images by is fetched with it, goes on where
// it broke off, and goes with it.
func TestPullWithProjector(t *testing.T) {
	l := open(t)
	of, fetched := hub(t, map[string]string{"m-Q4_0.gguf": model(t, "m", 1), "mmproj-m-f16.gguf": projectorOf(t, 64, 1), "mmproj-m-Q8_0.gguf": projectorOf(t, 64, 2)})
	var said []string
	o := PullOptions{Fetch: of, Progress: func(what string, _, _ int64) {
		if !slices.Contains(said, what) {
			said = append(said, what)
		}
	}}
	p, err := l.Pull(t.Context(), "hf:owner/repo:q4_0", o)
	if err != nil {
		t.Fatal(err)
	}
	if has := seeing(t, p.Model); has == nil || has.Source != "mmproj-m-f16.gguf" || p.NoProjector != "" {
		t.Errorf("%+v, %q", has, p.NoProjector)
	}
	if !slices.Equal(*fetched, []string{"m-Q4_0.gguf", "mmproj-m-f16.gguf"}) || !slices.Contains(said, "fetch its projector: download") {
		t.Errorf("fetched: %q, said %q", *fetched, said)
	}
	if p, err := l.Pull(t.Context(), "hf.co/owner/repo", o); err != nil || !p.Had || p.NoProjector != "" || len(*fetched) != 2 {
		t.Errorf("again: %+v, %v", p, err)
	}
	if r, err := l.Remove(t.Context(), p.Name); err != nil || r.Left != "" {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(l.cache, "models", "*", "*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}

	// It is left out where it is not wanted or memory has no room for it.
	o.Room = 1
	if p, err = l.Pull(t.Context(), "hf.co/owner/repo", o); err != nil || p.Manifest.Projector != nil || !strings.Contains(p.NoProjector, "with it the model would take") {
		t.Errorf("without room: %q, %v", p.NoProjector, err)
	}
	if o.Room = 0; len(*fetched) != 3 {
		t.Errorf("fetched: %q", *fetched)
	}
	if p, err = l.Pull(t.Context(), "hf.co/owner/repo", o); err != nil || !p.Had || !strings.Contains(p.NoProjector, "skerry model rm m-Q4_0") {
		t.Errorf("there without it: %q, %v", p.NoProjector, err)
	}
	o.Projector = "hf:owner/repo/mmproj-m-Q8_0.gguf"
	if _, err = l.Pull(t.Context(), "hf.co/owner/repo", o); err == nil || !strings.Contains(err.Error(), "m-Q4_0 is here already, and it was split without one") {
		t.Errorf("there without one that is asked for: %v", err)
	}
	if _, err := l.Remove(t.Context(), p.Name); err != nil {
		t.Fatal(err)
	}
	if p, err = l.Pull(t.Context(), "hf:owner/repo/m-Q4_0.gguf", o); err != nil || seeing(t, p.Model) == nil || p.Manifest.Projector.Source != "mmproj-m-Q8_0.gguf" {
		t.Errorf("named: %+v, %v", p.Manifest, err)
	}
	for projector, there := range map[string]bool{
		o.Projector: true, "": true, "hf:owner/repo/mmproj-m-f16.gguf": false, "hf.co/owner/repo": false, NoProjector: false,
		"sha256:" + p.Manifest.Projector.SHA256: true, projectorOf(t, 64, 2): true, projectorOf(t, 64, 3): false,
	} {
		_, err := l.Pull(t.Context(), "hf:owner/repo/m-Q4_0.gguf", PullOptions{Fetch: of, Projector: projector})
		if (err == nil) != there || err != nil && !strings.Contains(err.Error(), "is here already, with the projector mmproj-m-Q8_0.gguf: skerry model rm m-Q4_0") {
			t.Errorf("there, with %q: %v", projector, err)
		}
	}
	if _, err := l.Remove(t.Context(), p.Name); err != nil {
		t.Fatal(err)
	}
	o.Projector = NoProjector
	if p, err = l.Pull(t.Context(), "hf.co/owner/repo", o); err != nil || p.Manifest.Projector != nil || p.NoProjector != "" {
		t.Errorf("not wanted: %q, %v", p.NoProjector, err)
	}
}

// A projector that nothing here can use leaves a model that reads text, where it only lay beside
// it, and an error where it was asked for.
func TestPullWithBadProjector(t *testing.T) {
	l := open(t)
	merger := bundletest.Edit(t, projectorOf(t, 64, 1), func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) {
		return bundletest.Set(kvs, gguf.StringKV("clip.projector_type", "qwen2vl_merger")), outs
	})
	of, fetched := hub(t, map[string]string{"m-Q4_0.gguf": model(t, "m", 1), "mmproj-F16.gguf": merger})
	p, err := l.Pull(t.Context(), "hf.co/owner/repo", PullOptions{Fetch: of})
	if err != nil || p.Manifest.Projector != nil || !strings.Contains(p.NoProjector, "qwen2vl_merger") || len(*fetched) != 2 {
		t.Errorf("%q, %v, fetched %q", p.NoProjector, err, *fetched)
	}
	if left, _ := filepath.Glob(filepath.Join(l.cache, "models", "*", "mmproj*")); len(left) > 0 {
		t.Errorf("what is of no use is left: %q", left)
	}
	other := model(t, "n", 2)
	for ref, words := range map[string]string{
		merger: "qwen2vl_merger", projectorOf(t, 32, 1): "give the projector of this very model", "mmproj": "is no projector", "hf:owner/repo/none.gguf": "no such file",
		filepath.Join(t.TempDir(), "absent.gguf"): "absent.gguf", "sha256:" + strings.Repeat("a", 64): "upload the projector",
	} {
		if _, err := l.Pull(t.Context(), other, PullOptions{Fetch: of, Projector: ref}); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", ref, err, words)
		}
	}
	if p, err := l.Pull(t.Context(), other, PullOptions{Projector: projectorOf(t, 64, 3)}); err != nil || seeing(t, p.Model) == nil {
		t.Errorf("a file of one's own: %v", err)
	}
}

// A model and its projector may be uploaded.
func TestCreateWithProjector(t *testing.T) {
	l := open(t)
	digests := map[string]string{}
	for name, path := range map[string]string{"m": model(t, "m", 1), "p": projectorOf(t, 64, 1)} {
		digest, size, err := Digest(t.Context(), path, func(string, int64, int64) {})
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := l.PutBlob(t.Context(), digest, size, f); err != nil {
			t.Fatal(err)
		}
		digests[name] = digest
	}
	p, err := l.Create(t.Context(), CreateOptions{Name: "mine", Digest: digests["m"], File: "m.gguf", PullOptions: PullOptions{Projector: digests["p"]}})
	if err != nil || seeing(t, p.Model) == nil {
		t.Fatalf("%+v %v", p, err)
	}
	if left, _ := os.ReadDir(l.blobs()); len(left) > 0 {
		t.Errorf("uploaded files are left: %v", left)
	}
	create := func(name, digest, projector string) error {
		_, err := l.Create(t.Context(), CreateOptions{Name: name, Digest: digest, File: "m.gguf", PullOptions: PullOptions{Projector: projector}})
		return err
	}
	if err := create("again", digests["m"], digests["p"]); err != nil {
		t.Errorf("with the projector that it has: %v", err)
	}
	if err := create("again", digests["m"], "sha256:"+strings.Repeat("a", 64)); !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), "skerry model rm mine") {
		t.Errorf("with another projector than it has: %v", err)
	}
	// Whoever uploads names what was uploaded, and no file of this machine.
	for _, projector := range []string{projectorOf(t, 64, 1), "../mmproj.gguf", "mmproj.gguf", "hf:owner/repo/mmproj.gguf"} {
		if err := create("other", "sha256:"+strings.Repeat("b", 64), projector); !errors.Is(err, ErrDigest) {
			t.Errorf("with %s: %v", projector, err)
		}
	}
}

// What a daemon is told says the projector, and never a path of the daemon's.
func TestTold(t *testing.T) {
	for _, projector := range []string{"", NoProjector, "hf:o/r/mmproj.gguf", "sha256:" + strings.Repeat("ab", 32)} {
		if got, name, err := Untold(Told(projector, "no-draft:hf.co/o/r:q4")); got != projector || name != "no-draft:hf.co/o/r:q4" || err != nil {
			t.Errorf("%q: %q %q %v", projector, got, name, err)
		}
	}
	for _, told := range []string{"projector:/etc/passwd|x", "projector:none", "projector:./a.gguf|x", "projector:|x"} {
		if _, _, err := Untold(told); err == nil {
			t.Errorf("%s is taken", told)
		}
	}
}
