package strategies

import (
	"context"
	"fmt"
	"slices"

	"skerry/appliance/bench/strategies/sim"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
)

// This file finds out what the models say after a text, each text once: what is recorded is not
// computed again, and a text that goes on from another is computed from there on. What a variant
// says follows from that without it being played. The whole model's own continuation is the text
// of all variants that are exact; of the others only what lies behind their first other token is
// new. Drafts, exits and the whole model are computed over whole texts at a time wherever what
// they say does not decide which token comes next.

// source is one that says tokens.
type source int

const (
	ofWhole source = iota
	ofDraft
	ofExits
)

// sources are those that the variants have to do with.
func (b *Bench) sources() []source {
	all := []source{ofWhole}
	if b.Edge.Draft != nil {
		all = append(all, ofDraft)
	}
	exits := func(v Variant) bool {
		return v.drafts() && b.Edge.Draft == nil || !v.drafts() && decode.HasExits(v.Mode) && v.Mode != decode.Naive
	}
	if len(b.Edge.Exits) > 0 && slices.ContainsFunc(b.Variants, exits) {
		all = append(all, ofExits)
	}
	return all
}

// chunkRows bounds how many rows are computed at a time: the logits of each are a vocabulary.
const chunkRows = 64

// follower is a stage, or a chain of them, that has computed a text.
type follower struct{ held []int32 }

// begin has the stages forget all but the beginning that a text shares with what they hold, and
// all from position at on, and returns the first position that they lack.
func (f *follower) begin(text []int32, at int, stages ...decode.Stage) (int, error) {
	n := 0
	for n < min(len(f.held), len(text), at) && f.held[n] == text[n] {
		n++
	}
	for _, s := range stages {
		if err := s.Truncate(0, n); err != nil {
			return 0, err
		}
	}
	f.held = append(f.held[:0], text...)
	return n, nil
}

// forget is told that others compute with the stages.
func (b *Bench) forget() { b.drafted, b.exited = follower{}, follower{} }

// open loads the models, once.
func (b *Bench) open(ctx context.Context) error {
	if b.Open == nil {
		return nil
	}
	b.report("load the models", 0, 0)
	err := b.Open(ctx, b)
	if err == nil {
		b.Open = nil
	}
	return err
}

// know has the recording know what sources say after each text[:n] of n from from to
// len(text).
func (b *Bench) know(ctx context.Context, text []int32, from int, of ...source) error {
	for _, s := range of {
		for n := from; n <= len(text); n++ {
			a := b.Record.after(text[:n])
			if s == ofWhole && a.Whole != nil || s == ofDraft && a.Draft != nil || s == ofExits && a.Exits != nil {
				continue
			}
			if err := b.open(ctx); err != nil {
				return err
			}
			b.Record.more = true
			if err := b.compute(ctx, s, text, n); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// compute fills in what a source says after text[:n] and every longer one.
func (b *Bench) compute(ctx context.Context, s source, text []int32, n int) error {
	switch s {
	case ofWhole:
		ids, err := b.Cloud.Likeliest(ctx, text, n-1)
		if err == nil && len(ids) != len(text)-n+1 {
			err = fmt.Errorf("the unsplit model gave %d tokens of %d", len(ids), len(text)-n+1)
		}
		for i := range ids {
			b.Record.after(text[:n+i]).Whole = &ids[i]
		}
		return err
	case ofDraft:
		return b.draftSays(text, n)
	}
	return b.exitsSay(text, n)
}

func (b *Bench) draftSays(text []int32, n int) error {
	d := b.Edge.Draft
	ids, err := d.IDs(text)
	if err != nil {
		return err
	}
	at, err := b.drafted.begin(text, n-1, d.Stage)
	for ; err == nil && at < len(text); at += chunkRows {
		batch := engine.NewBatch(0, at, min(chunkRows, len(text)-at), 0)
		batch.Tokens = ids[at:][:len(batch.Pos)]
		wanted := 0
		for i := range batch.Want {
			if at+i >= n-1 {
				batch.Want[i] = engine.WantLogits
				wanted++
			}
		}
		var out engine.Output
		out, err = d.Stage.Forward(batch)
		for i := 0; err == nil && i < wanted; i++ {
			size := len(out.Logits) / wanted
			row := d.Logits(out.Logits[i*size:][:size])
			b.Record.after(text[:at+len(batch.Pos)-wanted+i+1]).Draft = &Says{int32(engine.Best(row)), d.Describe(row).Confidence}
		}
	}
	if err != nil {
		b.drafted = follower{}
	}
	return err
}

func (b *Bench) exitsSay(text []int32, n int) error {
	var stages []decode.Stage
	for _, e := range b.Edge.Exits {
		stages = append(stages, e.Stage)
	}
	at, err := b.exited.begin(text, n-1, stages...)
	for ; err == nil && at < len(text); at += chunkRows {
		err = b.exitsSayRows(text[:min(at+chunkRows, len(text))], at, n)
	}
	if err != nil {
		b.exited = follower{}
	}
	return err
}

// exitsSayRows computes text from position at on.
func (b *Bench) exitsSayRows(text []int32, at, n int) error {
	var hidden []float32
	for i, e := range b.Edge.Exits {
		batch := engine.NewBatch(0, at, len(text)-at, engine.WantHidden)
		if batch.Hidden = hidden; i == 0 {
			batch.Tokens = text[at:]
		}
		out, err := e.Stage.Forward(batch)
		if err != nil {
			return err
		}
		hidden = out.Hidden
		width := e.Stage.Width()
		for k := max(at, n-1); k < len(text); k++ {
			stats, id, err := exitSays(e, hidden[(k-at)*width:][:width])
			if err != nil {
				return err
			}
			a := b.Record.after(text[:k+1])
			a.Exits = append(a.Exits[:i:i], Says{id, stats.Confidence})
		}
	}
	return nil
}

func exitSays(e decode.Exit, hidden []float32) (engine.Stats, int32, error) {
	logits, err := e.Head.Logits(hidden)
	if err != nil {
		return engine.Stats{}, 0, err
	}
	id := int32(engine.Best(logits))
	if ids := e.Head.Tokens(); ids != nil {
		id = ids[id]
	}
	return engine.Describe(logits), id, nil
}

// speaker is who says a variant's next token, the i-th of an answer, after a text.
func (b *Bench) speaker(ctx context.Context, v Variant, text []int32, i int) (int32, error) {
	whole := func() (int32, error) {
		if err := b.know(ctx, text, len(text), ofWhole); err != nil {
			return 0, err
		}
		return *b.Record.after(text).Whole, nil
	}
	alone := v.Mode == decode.Standalone
	ts := v.thresholds(b.thresholds(v))
	if len(ts) == 0 && !alone || v.Mode == decode.Naive || v.Mode == decode.Verified {
		return whole()
	}
	if b.Edge.Draft != nil && v.drafts() {
		if i == 0 && !alone { // while the draft reads the prompt
			return whole()
		}
		if err := b.know(ctx, text, len(text), ofDraft); err != nil {
			return 0, err
		}
		if d := b.Record.after(text).Draft; alone || d.Confidence >= ts[1] {
			return d.Token, nil
		}
		return whole()
	}
	if ts[0] > 1 && ts[1] > 1 && !alone {
		return whole()
	}
	if err := b.know(ctx, text, len(text), ofExits); err != nil {
		return 0, err
	}
	exits := b.Record.after(text).Exits
	for k, e := range exits {
		if e.Confidence >= ts[min(k, len(ts)-1)] || alone && k == len(exits)-1 {
			return e.Token, nil
		}
	}
	return whole()
}

// walk is what a variant says to a prompt, with what all sources say in place of each token
// recorded.
func (b *Bench) walk(ctx context.Context, v Variant, prompt []int32) (said, error) {
	text := append([]int32(nil), prompt...)
	for i := range b.MaxTokens {
		id, err := b.speaker(ctx, v, text, i)
		if err != nil {
			return said{}, err
		}
		text = append(text, id)
	}
	if err := b.know(ctx, text[:len(text)-1], len(prompt), b.sources()...); err != nil {
		return said{}, err
	}
	b.Record.add(prompt, text[len(prompt):])
	return said{prompt, text[len(prompt):]}, nil
}

// walks are a variant's answers to all prompts, as a simulation plays them.
func (b *Bench) walks(ctx context.Context, v Variant) (all []sim.Answer, err error) {
	b.forget()
	for i, prompt := range b.Prompts {
		b.report(v.Name+": record", i, len(b.Prompts))
		a, err := b.walk(ctx, v, prompt)
		if err != nil {
			return nil, err
		}
		all = append(all, b.recorded(a))
	}
	return all, b.Record.Save()
}
