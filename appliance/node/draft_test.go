package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/bundletest/drafttest"
	"skerry/appliance/bundle/split"
	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// draftedBundle is a bundle of random weights whose draft is its own source.
func draftedBundle(t *testing.T) (dir string, m *bundle.Manifest) {
	t.Helper()
	src := bundletest.Synth(t, "tiny", split.TypeQ4_0)
	return draftedWith(t, src, src)
}

// draftedWith is a bundle of src with the model draft beside.
func draftedWith(t *testing.T, src, draft string) (dir string, m *bundle.Manifest) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "b")
	if _, err := split.Model(t.Context(), src, dir, split.Options{Exits: []int{2, 4}, Type: split.TypeKeep}); err != nil {
		t.Fatal(err)
	}
	return dir, drafttest.Add(t, dir, draft)
}

// A bundle with a draft is opened for what a mode needs of it, and one whose draft cannot
// be used as if it had none.
func TestOpenBundleWithDraft(t *testing.T) {
	dir, m := draftedBundle(t)
	board := []bundle.Role{bundle.Board1, bundle.Board2}
	for _, damaged := range []bool{false, true} {
		if damaged {
			if err := os.Truncate(filepath.Join(dir, bundle.DraftModel.File()), 100); err != nil {
				t.Fatal(err)
			}
		}
		for mode, want := range map[infer.Mode][]bundle.Role{
			decode.Standalone:    {bundle.DraftModel},
			decode.Collaborative: {bundle.Board1, bundle.DraftModel},
			decode.Paper:         board,
			decode.Verified:      {bundle.Board1, bundle.DraftModel},
			decode.Unsplit:       {bundle.Unsplit, bundle.DraftModel},
		} {
			b, noDraft, err := OpenBundle(t.Context(), dir, m, mode)
			if err != nil {
				t.Fatal(mode, err)
			}
			if usesDraft := slices.Contains(want, bundle.DraftModel); damaged && usesDraft {
				want = board
				if mode == decode.Unsplit {
					want = []bundle.Role{bundle.Unsplit}
				}
				if noDraft == nil || !strings.Contains(noDraft.Error(), "corrupt") {
					t.Errorf("%s: %v", mode, noDraft)
				}
			} else if noDraft != nil {
				t.Errorf("%s: %v", mode, noDraft)
			}
			if got := BoardRoles(b.Manifest, mode); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", mode, got, want)
			}
		}
	}
}

// A draft of which it was measured that it makes no sense is left out.
func TestOpenBundleWithSenselessDraft(t *testing.T) {
	dir, m := draftedBundle(t)
	for perplexity, leftOut := range map[float64]bool{2: false, 900: true} {
		text := &bundle.FreeText{Prompts: 10, Tokens: 600, Perplexity: perplexity, Distinct: 0.9, WholePerplexity: 1.5, WholeDistinct: 0.9}
		b := &bundle.Bundle{Dir: dir, Manifest: m}
		if err := b.SetDraft(bundle.Draft{Threshold: 0.9, FreeText: text}); err != nil {
			t.Fatal(err)
		}
		b, noDraft, err := OpenBundle(t.Context(), dir, b.Manifest, decode.Collaborative)
		if err != nil || (b.Manifest.Draft == nil) != leftOut || errors.Is(noDraft, bundle.ErrDraft) != leftOut {
			t.Errorf("perplexity %g: %+v, %v, %v", perplexity, b.Manifest.Draft, noDraft, err)
		}
		if leftOut && !strings.Contains(noDraft.Error(), "what it writes alone makes no sense (perplexity 900") {
			t.Error(noDraft)
		}
	}
}

// The draft alone is opened with the vocabulary of the bundle's model, and speaks.
func TestDraftAloneSpeaks(t *testing.T) {
	dir, m := draftedBundle(t)
	b, _, err := OpenBundle(t.Context(), dir, m, decode.Standalone)
	if err != nil {
		t.Fatal(err)
	}
	st, err := OpenStages(t.Context(), b, BoardRoles(b.Manifest, decode.Standalone), StageOptions{Options: engine.Options{Context: 256, Threads: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	s := decode.NewSession(decode.Model{Context: 256, Vocab: st.Vocab, Exits: st.Exits, Draft: st.Draft}, 0, nil)
	a, err := s.Generate(t.Context(), []int32{3, 4, 5}, decode.Options{Mode: decode.Standalone, OnLoss: infer.GoAlone, MaxTokens: 6, IgnoreEnd: true}, nil)
	if err != nil || len(a.Tokens) != 6 || a.Tokens[5].Source != infer.FromDraft || len(st.Exits) != 0 {
		t.Errorf("%+v, %v", a.Tokens, err)
	}
}

// The daemon loads a draft and says so, plans memory for it, and goes on without one that
// memory has no room for.
func TestLoadDraft(t *testing.T) {
	dir, m := draftedBundle(t)
	load := func(mode infer.Mode, mb int) (status.Model, string) {
		t.Helper()
		var log strings.Builder
		conf := config.Default()
		conf.Bundle, conf.Mode, conf.Context, conf.Threads, conf.Cache = dir, string(mode), 256, 1, 0
		l := &loader{conf: conf, state: t.TempDir(), root: limitedTo(t, mb), log: slog.New(slog.NewTextHandler(&log, nil))}
		model, err := l.Load(context.Background(), infer.Model{}, func(status.State, status.Progress) {})
		if err != nil {
			t.Fatal(err)
		}
		if err := model.Unable(100); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		model.Slots.Close()
		model.Close()
		return model.Status, log.String()
	}
	st, log := load(decode.Standalone, 4000)
	want := &status.Draft{Name: "small", Bytes: m.Draft.Bytes, Threshold: decode.DraftThreshold}
	if st.Draft == nil || *st.Draft != *want || st.Alone != "the draft model small" || len(st.Exits)+len(st.Stages) != 0 || strings.Contains(log, "draft") {
		t.Errorf("%+v, log %q", st, log)
	}

	fit := func(man *bundle.Manifest, mb int) (*opening, error) {
		conf := config.Default()
		o := &opening{loader: &loader{conf: conf, root: limitedTo(t, mb), log: slog.New(slog.DiscardHandler)},
			bundle: &bundle.Bundle{Dir: dir, Manifest: man}, mode: decode.Collaborative}
		return o, o.fitWithDraft(t.Context())
	}
	large := *m
	large.Draft = &bundle.Draft{}
	*large.Draft = *m.Draft
	large.Draft.Bytes = 3e9
	o, err := fit(m, 4000)
	if err != nil || !slices.Equal(o.roles, []bundle.Role{bundle.Board1, bundle.DraftModel}) || o.rest != 0 {
		t.Fatalf("%v, the rest of the model %d positions, %v", o.roles, o.rest, err)
	}
	if o, err = fit(&large, 1000); err != nil || slices.Contains(o.roles, bundle.DraftModel) || o.bundle.Manifest.Draft != nil {
		t.Errorf("a draft of 3 GB in 1 GB: %v, %v", o.roles, err)
	}
	var sizes, again batch.Sizes
	if err := AddStage(&sizes, &bundle.Bundle{Dir: dir, Manifest: m}, bundle.DraftModel); err != nil {
		t.Fatal(err)
	}
	if err := AddStage(&again, &bundle.Bundle{Dir: dir, Manifest: m}, bundle.Unsplit); err != nil || sizes != again {
		t.Errorf("the draft takes %+v, the same model as a stage %+v, %v", sizes, again, err)
	}
}

// A draft that the engine refuses is left out like one that is damaged, and the bundle is
// loaded all the same.
func TestLoadWithoutRefusedDraft(t *testing.T) {
	src := bundletest.Synth(t, "tiny", split.TypeQ4_0)
	dir, _ := draftedWith(t, src, bundletest.Refused(t, src))
	var log strings.Builder
	conf := config.Default()
	conf.Bundle, conf.Mode, conf.Context, conf.Threads, conf.Cache = dir, string(decode.Standalone), 256, 1, 0
	l := &loader{conf: conf, state: t.TempDir(), root: limitedTo(t, 4000), log: slog.New(slog.NewTextHandler(&log, nil))}
	model, err := l.Load(t.Context(), infer.Model{}, func(status.State, status.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	model.Slots.Close()
	defer model.Close()
	if st := model.Status; st.Draft != nil || len(st.Exits) != 2 || !errors.Is(l.loaded.noDraft, bundle.ErrDraft) {
		t.Errorf("%+v, %v", st, l.loaded.noDraft)
	}
	if !strings.Contains(log.String(), "without the draft model") || !strings.Contains(log.String(), "llama.cpp cannot load it") {
		t.Errorf("log %q", log.String())
	}
}

// A context that the model was trained for and its draft was not is the model's: the draft
// is then left out, and what is said names its context.
func TestContextBeyondTheDrafts(t *testing.T) {
	dir, m := draftedBundle(t)
	short := *m.Draft
	short.ContextLength = m.ContextLength / 2
	m.Draft = &short
	for context, drafts := range map[int]bool{short.ContextLength: true, short.ContextLength + 1: false, m.ContextLength: false} {
		for _, single := range []bool{false, true} {
			conf := config.Default()
			conf.Context = context
			o := &opening{loader: &loader{conf: conf, root: limitedTo(t, 4000), single: single, log: slog.New(slog.DiscardHandler)},
				bundle: &bundle.Bundle{Dir: dir, Manifest: m}, mode: decode.Collaborative}
			err := o.fitWithDraft(t.Context())
			if err != nil || o.plan.Context != context || slices.Contains(o.roles, bundle.DraftModel) != drafts {
				t.Errorf("context %d, single %v: %d of %v, %v", context, single, o.plan.Context, o.roles, err)
			}
			if want := fmt.Sprintf("the draft was trained with %d", short.ContextLength); !drafts && (o.noDraft == nil || !strings.Contains(o.noDraft.Error(), want)) {
				t.Errorf("context %d: left out for %v", context, o.noDraft)
			}
		}
	}
	// One that nobody has set is the model's where a cloud goes on for the draft, else the draft's.
	for mode, want := range map[infer.Mode]int{decode.Collaborative: m.ContextLength, decode.Standalone: short.ContextLength} {
		o := &opening{loader: &loader{conf: config.Default(), root: limitedTo(t, 4000), log: slog.New(slog.DiscardHandler)},
			bundle: &bundle.Bundle{Dir: dir, Manifest: m}, mode: mode}
		if err := o.fitWithDraft(t.Context()); err != nil || o.plan.Context != want || !slices.Contains(o.roles, bundle.DraftModel) {
			t.Errorf("%s: context %d of %v, want %d: %v", mode, o.plan.Context, o.roles, want, err)
		}
	}
	conf := config.Default()
	conf.Context = m.ContextLength + 1
	o := &opening{loader: &loader{conf: conf, root: limitedTo(t, 4000), log: slog.New(slog.DiscardHandler)},
		bundle: &bundle.Bundle{Dir: dir, Manifest: m}, mode: decode.Collaborative}
	if err := o.fitWithDraft(t.Context()); err == nil || !strings.Contains(err.Error(), "the model was trained with") {
		t.Errorf("a context beyond the model's: %v", err)
	}
}

// What one draft has computed is no other's: they have different names in the cache of
// prefixes, as the bundle has without a draft.
func TestCacheNamesTheDraft(t *testing.T) {
	_, m := draftedBundle(t)
	names := map[string]bool{}
	for _, draft := range []string{"", m.Draft.SHA256, strings.Repeat("a", 64)} {
		man := *m
		o := &opening{bundle: &bundle.Bundle{Manifest: &man}, plan: batch.Plan{Parallel: 4}}
		if draft != "" {
			d := *m.Draft
			d.SHA256 = draft
			man.Draft, o.model.Draft = &d, &decode.DraftModel{}
		}
		name := o.cacheName()
		if len(name) > 256 || man.ID() != m.ID() {
			t.Errorf("%q of bundle %x", name, man.ID())
		}
		names[name] = true
	}
	if len(names) != 3 {
		t.Errorf("%v", names)
	}
}

// The exit that speaks where a draft model is given up is the deepest, also before the draft.
func TestDeepestExit(t *testing.T) {
	one, two, draft := bundle.Board1, bundle.Board2, bundle.DraftModel
	for _, c := range []struct {
		roles []bundle.Role
		want  int
	}{{[]bundle.Role{one}, 0}, {[]bundle.Role{one, two}, 1}, {[]bundle.Role{one, draft}, 0}, {[]bundle.Role{one, two, draft}, 1}} {
		for i, r := range c.roles {
			if r != draft && deepest(c.roles, i) != (i == c.want) {
				t.Errorf("%v: exit %d", c.roles, i+1)
			}
		}
	}
}

// Beside the whole model a draft model is loaded to draft, unless it is not wanted, and the
// answers are the same with it.
func TestWholeModelWithDraft(t *testing.T) {
	dir, _ := draftedBundle(t)
	texts := map[string]bool{}
	for _, draft := range infer.Draftings {
		conf := config.Default()
		conf.Bundle, conf.Mode, conf.Context, conf.Threads, conf.Cache, conf.Draft = dir, string(decode.Unsplit), 256, 1, 0, string(draft)
		l := &loader{conf: conf, state: t.TempDir(), root: limitedTo(t, 4000), log: slog.New(slog.DiscardHandler)}
		model, err := l.Load(t.Context(), infer.Model{}, func(status.State, status.Progress) {})
		if err != nil {
			t.Fatal(err)
		}
		if wanted := draft == infer.DraftAuto || draft == infer.DraftModel; (l.loaded.model.Draft != nil) != wanted || (model.Status.Draft != nil) != wanted {
			t.Errorf("%s: the draft model is %v", draft, l.loaded.model.Draft)
		}
		prompt := []int32{3, 4, 5, 6, 3, 4, 5, 6, 3}
		slot, err := model.Slots.Acquire(t.Context(), batch.Ask{Prompt: prompt})
		if err != nil {
			t.Fatal(err)
		}
		a, err := slot.Generate(t.Context(), prompt, decode.Options{Mode: decode.Unsplit, OnLoss: infer.GoAlone, Draft: draft, MaxTokens: 24, IgnoreEnd: true}, nil)
		if err != nil || len(a.Tokens) != 24 {
			t.Errorf("%s: %d tokens, %v", draft, len(a.Tokens), err)
		}
		if p := a.Proposed[infer.FromDraft]; draft == infer.DraftModel && (p.Agreed != p.Checked || p.Checked == 0 || a.Checks+p.Agreed != 24) {
			t.Errorf("the same model drafts %+v, in %d checks", p, a.Checks)
		}
		texts[a.Text] = true
		slot.Release()
		model.Slots.Close()
		model.Close()
	}
	if len(texts) != 1 {
		t.Errorf("the text depends on the draft: %v", texts)
	}
}
