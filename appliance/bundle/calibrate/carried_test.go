package calibrate

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/engine"
	"skerry/build/testshort"
)

// The heads that the program carries fit the default bundle, and agree with the whole model
// about as often as they claim, on answers to prompts that nothing was fitted to.
func TestCarriedHeadsAreWorthWhatTheyClaim(t *testing.T) {
	testshort.Skip(t, "it computes with the default model")
	sets, err := filepath.Glob("../prepare/heads/*.zip")
	if err != nil || len(sets) == 0 {
		t.Skipf("skipped: the program carries no heads: make heads makes them (%v)", err)
	}
	quiet := func(string, int64, int64) {}
	from, err := prepare.Default(t.Context(), quiet, quiet)
	if err != nil {
		t.Fatalf("the default model is neither in the cache nor to be had: %v", err)
	}
	b := bare(t, from)
	id := b.Manifest.ID()
	if err := prepare.TakeHeads(t.Context(), b.Dir); err != nil {
		t.Fatal(err)
	}
	if b, err = bundle.Open(t.Context(), b.Dir, bundle.Board1, bundle.Board2, bundle.Unsplit); err != nil {
		t.Fatal(err)
	}
	if b.Manifest.ID() != id {
		t.Error("the bundle's id has changed: clouds would refuse its boards")
	}
	r := &run{opt: Options{Seed: 3, Threads: 1, prompts: 6}.withDefaults(), b: b, depths: b.Manifest.Exits, cache: t.TempDir()}
	if r.m, err = openModel(b, r.depths, 1); err != nil {
		t.Fatal(err)
	}
	defer r.m.close()
	rep := &report{kind: kindChat, width: r.m.d, depths: len(r.depths), said: counter{said: make([]int, b.Manifest.Vocab)}}
	for k, e := range r.depths {
		f, err := b.FittedHead(t.Context(), e)
		if err != nil || f == nil {
			t.Fatalf("exit %d has no fitted head of those that are carried: %v", e, err)
		}
		head, err := NewHead(b, f, r.m.stage, r.m.stage, engine.HeadOptions{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer head.Close()
		rep.heads = append(rep.heads, &judged{head: head, depth: k, all: newTally(),
			byKind: map[string]*tally{}, trust: map[string]*reliability{}, words: map[int][]word{}})
	}
	s := source{kindChat, ownAnswers, "report", r.opt.answerParts(reportForms, reportTopics, false), 600, 0}
	if n, err := r.consume(t.Context(), s, rep.take); err != nil || n < 400 {
		t.Fatalf("%d tokens: %v", n, err)
	}
	for k, h := range b.Manifest.Heads {
		// 600 tokens that follow one another: three standard errors and something.
		if got, claim := rep.heads[k].all.agreement(), h.ByKind[kindChat].Agreement; math.Abs(got-claim) > 0.12 {
			t.Errorf("exit %d agrees on %.3f of tokens and claims %.3f", h.Exit, got, claim)
		}
	}
}

// bare is the bundle in dir without fitted heads, by links.
func bare(t *testing.T, dir string) *bundle.Bundle {
	t.Helper()
	m, err := bundle.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	for _, s := range m.Stages {
		if err := os.Symlink(filepath.Join(dir, s.File), filepath.Join(to, s.File)); err != nil {
			t.Fatal(err)
		}
	}
	m.Heads, m.Calibration = slices.Clone(m.Heads), nil
	for i, h := range m.Heads {
		m.Heads[i] = bundle.Head{Exit: h.Exit, Kind: bundle.HeadModel}
	}
	if err := m.Write(to); err != nil {
		t.Fatal(err)
	}
	return &bundle.Bundle{Dir: to, Manifest: m}
}
