package bundle_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
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

// What a newer program has measured besides is no reason to refuse a bundle; what it has
// changed besides is, and updating mends it.
func TestManifestOfANewerProgram(t *testing.T) {
	dir, m := withDraft(t)
	sum := strings.Repeat("ab", 32)
	m.Heads[0] = bundle.Head{Exit: 2, Kind: bundle.HeadModel, Threshold: 0.9, FreeText: &bundle.FreeText{}, Measured: []bundle.HeadMeasured{{Agreement: 0.5}},
		ByKind: map[string]bundle.Reliability{"chat": {Tokens: 1, Curve: []bundle.ReliabilityBin{{Tokens: 1}}}}}
	m.Calibration = &bundle.Calibration{Seed: 7, Texts: []bundle.CalibrationText{{Kind: "chat"}}, Bound: &bundle.DisagreementBound{},
		Depths: []bundle.CalibrationDepth{{Block: 1}}}
	m.Draft.Measured = []bundle.DraftMeasured{{Kind: "chat", Reliability: bundle.Reliability{Tokens: 3}, PerCheck: []bundle.PerCheck{{Drafts: 2}}}}
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, bundle.ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		at      []any // the object that something is added to
		refused bool
	}{
		"manifest": {nil, true}, "source": {[]any{"source"}, true}, "stage": {[]any{"stages", 0}, true},
		"head": {[]any{"exit_heads", 0}, false}, "steps": {[]any{"exit_heads", 0, "measured", 0}, false}, "free text": {[]any{"exit_heads", 0, "free_text"}, false},
		"by kind": {[]any{"exit_heads", 0, "by_kind", "chat"}, false}, "curve": {[]any{"exit_heads", 0, "by_kind", "chat", "curve", 0}, false},
		"calibration": {[]any{"calibration"}, false}, "texts": {[]any{"calibration", "texts", 0}, false},
		"depths": {[]any{"calibration", "depths", 0}, false}, "bound": {[]any{"calibration", "disagreement_bound"}, false},
		"draft": {[]any{"draft"}, false}, "of the draft": {[]any{"draft", "measured", 0}, false}, "checks": {[]any{"draft", "measured", 0, "tokens_per_check", 0}, false},
	} {
		var all any
		if err := json.Unmarshal(good, &all); err != nil {
			t.Fatal(err)
		}
		at := all
		for _, key := range c.at {
			if i, ok := key.(int); ok {
				at = at.([]any)[i]
			} else {
				at = at.(map[string]any)[key.(string)]
			}
		}
		at.(map[string]any)["sum_of_next_year"] = sum
		b, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		got, err := bundle.ParseManifest(b)
		if c.refused != errors.Is(err, bundle.ErrManifest) || c.refused && !strings.Contains(err.Error(), "a newer skerry wrote it: update") {
			t.Errorf("%s: %v", name, err)
		}
		if !c.refused && (err != nil || !reflect.DeepEqual(got, m)) {
			t.Errorf("%s: %+v, %v", name, got, err)
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
