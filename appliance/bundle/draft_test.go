package bundle_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/bundletest/drafttest"
	"skerry/appliance/bundle/split"
)

// withDraft makes a bundle that has its own source as its draft.
func withDraft(t *testing.T) (dir string, m *bundle.Manifest) {
	t.Helper()
	src := bundletest.Synth(t, "tiny", "q4_0")
	dir = filepath.Join(t.TempDir(), "b")
	splitInto(t, src, dir, split.Options{Exits: []int{2, 4}})
	return dir, drafttest.Add(t, dir, src, func(d *bundle.Draft) {
		d.Tokens = 500
		d.Ends = []bundle.EndToken{{bundle.EndOfText, 2, 2}, {bundle.EndOfTurn, 7, 9}}
	})
}

func TestOpenDraft(t *testing.T) {
	dir, _ := withDraft(t)
	b, err := bundle.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := bundle.Verify(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	path := b.Path(bundle.DraftModel)
	good, err := os.ReadFile(path)
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
		"missing":   {nil, bundle.ErrMissing},
	} {
		os.Remove(path)
		if c.content != nil {
			if err := os.WriteFile(path, c.content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b, err := bundle.Open(t.Context(), dir, bundle.Board1, bundle.DraftModel)
		if !errors.Is(err, bundle.ErrDraft) || !errors.Is(err, c.want) || b == nil || !strings.Contains(err.Error(), "draft.gguf") {
			t.Errorf("%s: %v, %v", name, b, err)
		}
		if err := bundle.Verify(t.Context(), dir); !errors.Is(err, bundle.ErrDraft) || !errors.Is(err, c.want) {
			t.Errorf("%s: verify: %v", name, err)
		}
		if _, err := bundle.Open(t.Context(), dir, bundle.Board1, bundle.Board2, bundle.Cloud); err != nil {
			t.Errorf("%s: the others: %v", name, err)
		}
	}
	if err := os.WriteFile(b.Path(bundle.Board1), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Open(t.Context(), dir, bundle.Board1, bundle.DraftModel); !errors.Is(err, bundle.ErrCorrupt) || errors.Is(err, bundle.ErrDraft) {
		t.Errorf("board-1 is to blame: %v", err)
	}
}

// A bundle that has no draft says so where one is asked for.
func TestOpenNoDraft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b")
	splitInto(t, bundletest.Synth(t, "tiny", "q4_0"), dir, split.Options{})
	if _, err := bundle.Open(t.Context(), dir, bundle.Board1, bundle.DraftModel); !errors.Is(err, bundle.ErrDraft) || !errors.Is(err, bundle.ErrMissing) || !strings.Contains(err.Error(), "--draft") {
		t.Error(err)
	}
	if _, err := bundle.Open(t.Context(), dir); err != nil {
		t.Error(err)
	}
}

// A draft leaves the bundle's id, and puts it beyond programs that know none.
func TestDraftInManifest(t *testing.T) {
	dir, m := withDraft(t)
	plain := *m
	plain.Format, plain.Draft = bundle.Format, nil
	if m.ID() != plain.ID() {
		t.Error("a draft changes the id")
	}
	good, err := os.ReadFile(filepath.Join(dir, bundle.ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := bundle.ParseManifest(good); err != nil || got.Draft.Ends[1] != m.Draft.Ends[1] {
		t.Fatalf("%+v, %v", got, err)
	}
	for old, c := range map[string]struct{ new, want string }{
		`"format": 2`:      {`"format": 1`, "format 1 has no draft"},
		`"draft.gguf"`:     {`"../draft.gguf"`, "not named as"},
		m.Draft.SHA256:     {"abc", "not named as"},
		`"tokens": 500`:    {`"tokens": 513`, "hyperparameters"},
		`"draft": 7`:       {`"draft": 512`, "end token 512"},
		`"model": 9`:       {`"model": -1`, "end token 7 for -1"},
		`"name": "small",`: {`"name": "small", "cost": -1,`, "cost"},
		`"end_tokens": [`:  {`"measured": [{"kind":"code","tokens":1,"agreement":1.5}], "end_tokens": [`, "acceptance"},
	} {
		// The last one: the sha256 may be the source's as well.
		at := strings.LastIndex(string(good), old)
		b := string(good[:at]) + c.new + string(good[at+len(old):])
		if _, err := bundle.ParseManifest([]byte(b)); !errors.Is(err, bundle.ErrManifest) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.new, err, c.want)
		}
	}
}

func TestDraftTokens(t *testing.T) {
	d := &bundle.Draft{Tokens: 500, Ends: []bundle.EndToken{{bundle.EndOfText, 2, 2}, {bundle.EndOfTurn, 7, 600}}}
	for _, c := range []struct {
		draft, model int32
	}{{0, 0}, {499, 499}, {2, 2}, {7, 600}} {
		if got, ok := d.ToModel(c.draft); !ok || got != c.model {
			t.Errorf("to the model: %d: %d, %v", c.draft, got, ok)
		}
		if got, ok := d.FromModel(c.model); !ok || got != c.draft {
			t.Errorf("from the model: %d: %d, %v", c.model, got, ok)
		}
	}
	for _, padding := range []int32{500, -1} {
		if _, ok := d.ToModel(padding); ok {
			t.Errorf("%d stands for a token", padding)
		}
		if _, ok := d.FromModel(padding); ok {
			t.Errorf("%d has a token in the draft", padding)
		}
	}
}
