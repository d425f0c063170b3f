package decode

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"skerry/appliance/bench"
	"skerry/appliance/bundle"
	"skerry/appliance/engine"
)

// Run measures the models one after the other. It ends early with the context's
// error.
func Run(ctx context.Context, o Options, models ...Model) (Report, error) {
	if o.Threads < 1 || o.Prompt < shortPrompt || o.Decode < 1 || o.Rounds < 1 || o.Shortlist < 1 {
		return nil, fmt.Errorf("a benchmark of %d threads, prompts of %d tokens, %d decoded, %d rounds, a shortlist of %d: choose at least 1, a prompt of %d",
			o.Threads, o.Prompt, o.Decode, o.Rounds, o.Shortlist, shortPrompt)
	}
	// The turns stay on one thread of the system, as a program that only
	// computes would.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	report := Report{}
	for _, s := range models {
		m, err := run(ctx, o, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		report[s.Name] = m
	}
	return report, nil
}

// decodeShare is the part of the budget that decoding may take; the marginal
// costs have what the prompts leave.
const (
	decodeShare = 0.4
	promptShare = 0.8
)

func run(ctx context.Context, o Options, s Model) (*ModelReport, error) {
	o.report(s.Name+": load", 0, 0)
	r, err := newFixture(ctx, s, o)
	if err != nil {
		return nil, err
	}
	defer r.close()
	start := time.Now()
	until := func(share float64) time.Time { return start.Add(time.Duration(share * float64(o.Budget))) }
	rng := rand.New(rand.NewPCG(o.Seed, 0))
	tokens := tokensFrom(rng, r.whole.VocabSize(), r.context)
	m := &ModelReport{Peer: r.peer}
	if err := m.describe(s, r); err != nil {
		return nil, err
	}
	decoded, err := r.rounds(ctx, s.Name+": decode", r.entries, 1, until(decodeShare), rng, decode(tokens[:shortPrompt+o.Decode]))
	if err != nil {
		return nil, err
	}
	kv := m.Model.KVPerToken * int64(shortPrompt+o.Decode/2)
	m.Decode = r.phase(decoded, o.Decode, float64(m.Model.PassBytes+kv))
	// The head computes one row of a prompt: either kind costs the same. All is
	// warm by now.
	filled, err := r.rounds(ctx, s.Name+": prompt", r.without(Vocabulary), 0, until(promptShare), rng, prompt(tokens[:o.Prompt]))
	if err != nil {
		return nil, err
	}
	m.Prompt = r.phase(filled, o.Prompt, float64(m.Model.PassBytes+m.Model.KVPerToken*int64(o.Prompt)))
	m.Run.Bandwidth = bench.QuartilesOf(perSecond(append(decoded[memory], filled[memory]...)))
	path := s.Splits[0].Path(bundle.Unsplit)
	r.close()
	if m.Batch, err = batchCosts(ctx, s, path, o, until(1), rng); err != nil {
		return nil, err
	}
	m.Targets = outcomes(s.Targets, m)
	m.Run.Seconds = time.Since(start).Seconds()
	return m, nil
}

// perSecond turns seconds a byte into GB a second.
func perSecond(x []float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = 1e-9 / v
	}
	return y
}

// describe fills in what is known before anything is timed.
func (m *ModelReport) describe(s Model, r *fixture) error {
	man := s.Splits[0].Manifest
	pass, err := touched(s.Splits[0].Path(bundle.Unsplit))
	if err != nil {
		return err
	}
	m.Model = ModelInfo{Blocks: man.Blocks, Exits: man.Exits, Tensors: man.Tensors, PassBytes: pass,
		KVPerToken: r.whole.Memory().KV / int64(r.context), WholeBytes: man.WholeBytes, Vocabulary: man.Vocab, EmbedLength: man.Embedding}
	m.Run = RunInfo{Cores: runtime.GOMAXPROCS(0), Threads: r.o.Threads, Poll: r.o.Poll, Seed: r.o.Seed, Kernels: engine.Init("")}
	return nil
}
