package bundle_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/split"
)

func TestOpen(t *testing.T) {
	src, parent := bundletest.Synth(t, "tiny", "q4_0"), t.TempDir()
	dir, other := filepath.Join(parent, "a"), filepath.Join(parent, "b")
	splitInto(t, src, dir, split.Options{Exits: []int{2, 4}})
	splitInto(t, src, other, split.Options{Exits: []int{2, 3}})
	b, err := bundle.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if b.Path(bundle.Cloud) != filepath.Join(dir, "cloud.gguf") {
		t.Errorf("cloud at %s", b.Path(bundle.Cloud))
	}
	board2 := filepath.Join(dir, "board-2.gguf")
	good, err := os.ReadFile(board2)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(filepath.Join(other, "board-2.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), good...)
	flipped[len(flipped)/2] ^= 4
	for name, c := range map[string]struct {
		content []byte
		want    error
	}{
		"flipped":   {flipped, bundle.ErrCorrupt},
		"truncated": {good[:len(good)-40], bundle.ErrCorrupt},
		"garbage":   {[]byte("x"), bundle.ErrCorrupt},
		"foreign":   {foreign, bundle.ErrForeign},
		"missing":   {nil, bundle.ErrMissing},
	} {
		os.Remove(board2)
		if c.content != nil {
			if err := os.WriteFile(board2, c.content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for _, open := range []func() error{
			func() error { _, err := bundle.Open(t.Context(), dir, bundle.Board1, bundle.Board2); return err },
			func() error { return bundle.Verify(t.Context(), dir) },
		} {
			if err := open(); !errors.Is(err, c.want) || !strings.Contains(err.Error(), "board-2.gguf") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := bundle.Open(t.Context(), dir, bundle.Unsplit); err != nil {
			t.Errorf("%s: unsplit: %v", name, err)
		}
	}
	if err := os.WriteFile(board2, good, 0o644); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(dir, "unsplit.gguf"))
	if err := bundle.Verify(t.Context(), dir); err != nil {
		t.Errorf("without the unsplit model: %v", err)
	}
	if _, err := bundle.Open(t.Context(), dir, bundle.Unsplit); !errors.Is(err, bundle.ErrMissing) {
		t.Errorf("unsplit is gone: %v", err)
	}
	if _, err := bundle.Open(t.Context(), parent); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "model split") {
		t.Errorf("no bundle: %v", err)
	}
}

// TestConsistentLie replaces a slice and its sha256 in the manifest alike: the
// slice's own keys give it away.
func TestConsistentLie(t *testing.T) {
	src, parent := bundletest.Synth(t, "tiny", "q4_0"), t.TempDir()
	dir := filepath.Join(parent, "a")
	m := splitInto(t, src, dir, split.Options{Exits: []int{2, 4}})
	o := splitInto(t, src, filepath.Join(parent, "b"), split.Options{Exits: []int{2, 3}})
	b, err := os.ReadFile(filepath.Join(parent, "b", "board-2.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "board-2.gguf"), b, 0o644); err != nil {
		t.Fatal(err)
	}
	m.Stages[1].SHA256, m.Stages[1].Bytes = o.Stages[1].SHA256, o.Stages[1].Bytes
	writeManifest(t, dir, m)
	if _, err := bundle.Open(t.Context(), dir, bundle.Board2); !errors.Is(err, bundle.ErrForeign) {
		t.Error(err)
	}
}

func writeManifest(t *testing.T, dir string, m *bundle.Manifest) {
	t.Helper()
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
}

func TestManifestIsStrict(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b")
	m := splitInto(t, bundletest.Synth(t, "tiny", "q4_0"), dir, split.Options{})
	good, err := os.ReadFile(filepath.Join(dir, bundle.ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.ParseManifest(good); err != nil {
		t.Fatal(err)
	}
	for old, c := range map[string]struct{ new, want string }{
		`"format": 1`:             {`"format": 4`, "update skerry"},
		`"name"`:                  {`"nickname"`, "unknown field"},
		`"blocks": 6`:             {`"blocks": 4`, "exit 4 is out of range"},
		`"board-2.gguf"`:          {`"../board-2.gguf"`, "stage 2 is not"},
		`"role": "cloud"`:         {`"role": "board-1"`, "stage 3 is not"},
		`"architecture": "llama"`: {`"architecture": "mamba"`, "not supported"},
		`"kind": "model"`:         {`"kind": "magic"`, "unknown kind"},
		m.Stages[0].SHA256:        {"abc", "stage 1 is not"},
		m.Source.SHA256:           {"abc", "sha256"},
		"\n}\n":                   {"\n}{}", "after top-level value"},
		`{`:                       {`[`, "unusable manifest"},
	} {
		b := strings.Replace(string(good), old, c.new, 1)
		if _, err := bundle.ParseManifest([]byte(b)); !errors.Is(err, bundle.ErrManifest) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", c.new, err, c.want)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"format":1,"blocks":4,"exits":[1,2],"stages":[{}]}`))
	f.Add([]byte(`{"format":2,"blocks":4,"exits":[1,2],"stages":[{}],"draft":{"end_tokens":[{}],"measured":[{}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := bundle.ParseManifest(b)
		if err == nil {
			m.ID()
			if _, err := json.Marshal(m); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestInspect(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b")
	m := splitInto(t, bundletest.Synth(t, "tiny", "q4_0"), dir, split.Options{Exits: []int{2, 3}})
	in, err := bundle.Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Blocks) != 6 || in.Blocks[0].Bytes != in.Blocks[5].Bytes || in.BoardBytes != m.Stages[0].Bytes+m.Stages[1].Bytes ||
		in.WholeBytes != m.Source.Bytes || in.BoardRatio <= 0 || in.BoardRatio >= 1 || in.Files[1].VocabBytes != 64*32*2 {
		t.Errorf("%+v", in)
	}
	if _, err := json.Marshal(in); err != nil {
		t.Error(err)
	}
	for _, r := range []bundle.Role{bundle.Cloud, bundle.Unsplit} {
		os.Remove(filepath.Join(dir, r.File()))
	}
	if in, err := bundle.Inspect(dir); err != nil || len(in.Blocks) != 3 || in.Files[2].Present {
		t.Errorf("a board's part of the bundle: %+v, %v", in, err)
	}
}

// A bundle whose stages begin off the period is not opened, however it was made.
func TestOpenNoticesPeriod(t *testing.T) {
	dir := t.TempDir() + "/b"
	splitInto(t, bundletest.Synth(t, "tiny-smollm3", "q4_0"), dir, split.Options{Exits: []int{5}, AnyExit: true})
	if err := bundle.Verify(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "begins at block 5, and smollm3 repeats every 4") {
		t.Error(err)
	}
}
