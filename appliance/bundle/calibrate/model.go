package calibrate

import (
	"context"
	"fmt"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
)

// model is the whole model as calibration runs it: over windows of text, or
// writing several answers at once.
type model struct {
	stage *engine.Stage
	vocab *engine.Vocab
	d     int
}

const (
	window   = 512 // positions of a text that see one another
	docLimit = 4   // windows read of one document, so that none outweighs the rest
	slots    = 12  // answers written at once
	answer   = 128 // most tokens of one
	prompt   = 64  // most tokens of a prompt with its template
)

func openModel(b *bundle.Bundle, depths []int, threads int) (*model, error) {
	s, err := engine.OpenStage(b.Path(bundle.Unsplit), engine.Options{
		Context: slots * max(window, answer+prompt), Sequences: slots, Rows: 64, Threads: threads, Also: depths,
	})
	if err != nil {
		return nil, err
	}
	return &model{s, s.Vocab(), s.Width()}, nil
}

func (m *model) close() {
	m.vocab.Close()
	m.stage.Close()
}

// tokenize cuts a document into windows.
func (m *model) tokenize(doc string) ([][]int32, error) {
	ids, err := m.vocab.Tokenize(doc, true, false)
	if err != nil {
		return nil, err
	}
	var out [][]int32
	for len(ids) > 1 && len(out) < docLimit {
		n := min(window, len(ids))
		out = append(out, ids[:n])
		ids = ids[n:]
	}
	return out, nil
}

// read runs a window through the model, with its greedy tokens if wanted.
func (m *model) read(ids []int32, greedy bool, to sink) error {
	if err := m.stage.Truncate(0, 0); err != nil {
		return err
	}
	const rows = 64 // as many as come out at once
	for at := 0; at < len(ids); at += rows {
		n := min(rows, len(ids)-at)
		want := engine.WantHidden
		if greedy {
			want |= engine.WantLogits
		}
		b := engine.NewBatch(0, at, n, want)
		b.Tokens = ids[at : at+n]
		out, err := m.stage.Forward(b)
		if err != nil {
			return err
		}
		if err := to.take(m.states(out, greedy)); err != nil {
			return err
		}
	}
	return nil
}

func (m *model) states(out engine.Output, greedy bool) states {
	s := states{depths: out.Also, last: out.Hidden}
	if greedy {
		v := m.stage.VocabSize()
		for at := 0; at < len(out.Logits); at += v {
			s.greedy = append(s.greedy, int32(engine.Best(out.Logits[at:at+v])))
		}
	}
	return s
}

// prompt renders what is asked as the model wants it.
func (m *model) prompt(ask string) ([]int32, error) {
	if !m.vocab.HasTemplate() {
		return m.vocab.Tokenize(ask+"\n\n", true, false)
	}
	text, err := m.vocab.Chat([]engine.Message{{Role: "user", Content: ask}})
	if err != nil {
		return nil, err
	}
	return m.vocab.Tokenize(text, true, true)
}

// slot is one answer being written.
type slot struct {
	seq, pos, wrote int
	next            int32 // decided, not yet computed
	sampler         *engine.Sampler
}

// write answers prompts, several at once and each until it ends, and hands on the
// states from which each token was decided, until limit tokens are written.
// Answers are greedy and sampled in turn, or greedy alone.
func (m *model) write(ctx context.Context, asks []string, limit int, sampled bool, seed uint64, to sink, wrote func(id int32)) (answers, tokens int, err error) {
	for q := range slots {
		if err := m.stage.Truncate(q, 0); err != nil {
			return 0, 0, err
		}
	}
	var open []*slot
	defer func() {
		for _, s := range open {
			s.sampler.Close()
		}
	}()
	free := make([]int, slots)
	for i := range free {
		free[i] = slots - 1 - i
	}
	for {
		if err := ctx.Err(); err != nil {
			return answers, tokens, err
		}
		for len(free) > 0 && answers < len(asks) && tokens < limit {
			o := engine.Sampling{Seed: seed + uint64(answers)}
			if sampled && answers%2 == 1 {
				o.Temperature = 0.8
			}
			s, err := m.begin(asks[answers], free[len(free)-1], o, to)
			if err != nil {
				return answers, tokens, err
			}
			answers++
			if s != nil {
				open, free = append(open, s), free[:len(free)-1]
			}
		}
		if len(open) == 0 || tokens >= limit {
			return answers, tokens, nil
		}
		n, err := m.step(&open, &free, to, wrote)
		tokens += n
		if err != nil {
			return answers, tokens, err
		}
	}
}

// begin reads a prompt into a sequence and decides the first token of its answer;
// nil where the prompt is too long.
func (m *model) begin(ask string, seq int, o engine.Sampling, to sink) (*slot, error) {
	ids, err := m.prompt(ask)
	if err != nil || len(ids) > prompt || len(ids) == 0 {
		return nil, err
	}
	if err := m.stage.Truncate(seq, 0); err != nil {
		return nil, err
	}
	b := engine.NewBatch(seq, 0, len(ids), engine.WantHidden|engine.WantLogits)
	b.Tokens = ids
	out, err := m.stage.Forward(b)
	if err != nil {
		return nil, err
	}
	sampler, err := engine.NewSampler(m.vocab, o)
	if err != nil {
		return nil, err
	}
	s := &slot{seq: seq, pos: len(ids), sampler: sampler}
	v := m.stage.VocabSize()
	last := out.Logits[len(out.Logits)-v:]
	if s.next, err = sampler.Sample(nil, last, s.pos); err != nil {
		sampler.Close()
		return nil, err
	}
	st := states{last: out.Hidden[len(out.Hidden)-m.d:], greedy: []int32{int32(engine.Best(last))}}
	for _, h := range out.Also {
		st.depths = append(st.depths, h[len(h)-m.d:])
	}
	return s, to.take(st)
}

// step computes the next token of every open answer and decides the one after.
func (m *model) step(open *[]*slot, free *[]int, to sink, wrote func(int32)) (int, error) {
	n := len(*open)
	b := engine.NewBatch(0, 0, n, engine.WantHidden|engine.WantLogits)
	b.Tokens = make([]int32, n)
	for i, s := range *open {
		b.Tokens[i], b.Pos[i], b.Seq[i] = s.next, int32(s.pos), int32(s.seq)
		wrote(s.next)
	}
	out, err := m.stage.Forward(b)
	if err != nil {
		return 0, fmt.Errorf("writing answers: %w", err)
	}
	if err := to.take(m.states(out, true)); err != nil {
		return 0, err
	}
	v := m.stage.VocabSize()
	left := (*open)[:0]
	for i, s := range *open {
		s.pos++
		s.wrote++
		if s.next, err = s.sampler.Sample(nil, out.Logits[i*v:(i+1)*v], s.pos); err != nil {
			return 0, err
		}
		if m.vocab.End(s.next) || s.wrote == answer {
			wrote(s.next)
			s.sampler.Close()
			*free = append(*free, s.seq)
			continue
		}
		left = append(left, s)
	}
	*open = left
	return n, nil
}
