package calibrate

import (
	"context"
	"fmt"
	"slices"

	"skerry/appliance/bundle"
	"skerry/appliance/chat"
	"skerry/appliance/chat/template"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// model is the whole model as calibration runs it: over windows of text, or
// writing several answers at once.
type model struct {
	stage *engine.Stage
	vocab *engine.Vocab
	d     int
	// streams are taken of each row: those after some blocks, and after the last.
	streams int
	bare    bool // its documents have no states
	whole   bool // they have states of the prompts too
	// template renders prompts as the daemon does; nil where there is none that can, and then
	// badTemplate says why, unless the model has none.
	template    *template.Template
	badTemplate error
}

const (
	window   = 512             // positions of a text that see one another
	docLimit = 4               // windows read of one document, so that none outweighs the rest
	slots    = 24              // answers written at once
	answer   = 128             // most tokens of one
	prompt   = window - answer // most tokens of a prompt with its template
)

// Positions are those that the whole model's KV cache has room for in a calibration.
const Positions = slots * max(window, answer+prompt)

func openModel(b *bundle.Bundle, depths []int, threads int) (*model, error) {
	s, err := engine.OpenStage(b.Path(bundle.Unsplit), engine.Options{
		Context: Positions, Sequences: slots, Rows: 64, Threads: threads, Also: depths,
		// On processors attention with whole matrices is the faster for windows of text.
		NoFlashAttention: true,
	})
	if err != nil {
		return nil, err
	}
	m := &model{stage: s, vocab: s.Vocab(), d: s.Width(), streams: len(depths) + 1}
	m.template, m.badTemplate = templateOf(m.vocab)
	return m, nil
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

// read runs a window through the model, with its greedy tokens if wanted, and reports the
// number of positions of each batch.
func (m *model) read(ctx context.Context, ids []int32, greedy bool, did func(int)) (*document, error) {
	if err := m.stage.Truncate(0, 0); err != nil {
		return nil, err
	}
	const rows = 64 // as many as come out at once
	doc := &document{tokens: slices.Clone(ids), states: m.room(len(ids))}
	want := m.want()
	if greedy {
		want |= engine.WantLogits
	}
	for at := 0; at < len(ids); at += rows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(rows, len(ids)-at)
		b := engine.NewBatch(0, at, n, want)
		b.Tokens = ids[at : at+n]
		out, err := m.stage.Forward(b)
		if err != nil {
			return nil, err
		}
		for i := range n {
			m.record(doc, out, i, greedy)
		}
		did(n)
	}
	return doc, nil
}

// room is for the states of so many rows.
func (m *model) room(rows int) []uint16 {
	if m.bare {
		return nil
	}
	return make([]uint16, 0, rows*m.d*m.streams)
}

// want is what documents have of every row, their greedy tokens aside.
func (m *model) want() engine.Want {
	if m.bare {
		return 0
	}
	return engine.WantHidden
}

// record appends row i of what came out to a document.
func (m *model) record(doc *document, out engine.Output, i int, greedy bool) {
	if !m.bare {
		for _, h := range append(out.Also[:len(out.Also):len(out.Also)], out.Hidden) {
			doc.addStates(h[i*m.d : (i+1)*m.d])
		}
	}
	if greedy {
		v := m.stage.VocabSize()
		doc.greedy = append(doc.greedy, int32(engine.Best(out.Logits[i*v:(i+1)*v])))
	}
}

// templateOf is the model's chat template, nil where it has none. The error says why one that
// it has cannot be used.
func templateOf(v *engine.Vocab) (*template.Template, error) {
	source := v.Template()
	if source == "" {
		return nil, nil
	}
	t, err := template.New(source, v.BOS(), v.EOS())
	if err == nil {
		_, err = t.RenderParts(asked("hello"), nil, true, nil)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

func asked(ask string) []infer.Message { return []infer.Message{{Role: "user", Content: ask}} }

// prompt renders what is asked as the daemon does.
func (m *model) prompt(ask string) ([]int32, error) {
	parts := []template.Part{{Text: ask + "\n"}}
	if m.template != nil {
		var err error
		if parts, err = m.template.RenderParts(asked(ask), nil, true, nil); err != nil {
			return nil, err
		}
	}
	return chat.Tokens(m.vocab, parts)
}

// slot is one answer being written.
type slot struct {
	seq     int
	at      int   // of the document among the answers
	next    int32 // decided, not yet computed
	sampler *engine.Sampler
	doc     *document
}

// write answers prompts, several at once and each until it ends. An answer's states begin
// with those from which its first token was decided. Answers are greedy, or with sampled
// greedy and sampled in turn; a prompt that is too long has none. Wrote is called for every
// token.
func (m *model) write(ctx context.Context, asks []string, sampled bool, seed uint64, wrote func(int)) ([]*document, error) {
	for q := range slots {
		if err := m.stage.Truncate(q, 0); err != nil {
			return nil, err
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
	docs := make([]*document, len(asks)) // in the order of their prompts
	for next := 0; ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for len(free) > 0 && next < len(asks) {
			o := infer.Sampling{Seed: seed + uint64(next)}
			if sampled && next%2 == 1 {
				o.Temperature = 0.8
			}
			s, err := m.begin(ctx, asks[next], free[len(free)-1], o)
			if err != nil {
				return nil, err
			}
			if s != nil {
				s.at = next
				open, free = append(open, s), free[:len(free)-1]
				wrote(1)
			}
			next++
		}
		if len(open) == 0 {
			return slices.DeleteFunc(docs, func(d *document) bool { return d == nil }), nil
		}
		wrote(len(open))
		if err := m.step(&open, &free, docs); err != nil {
			return nil, err
		}
	}
}

// begin reads a prompt into a sequence and decides the first token of its answer;
// nil where the prompt is too long.
func (m *model) begin(ctx context.Context, ask string, seq int, o infer.Sampling) (*slot, error) {
	ids, err := m.prompt(ask)
	if err != nil || len(ids) > prompt || len(ids) == 0 {
		return nil, err
	}
	if err := m.stage.Truncate(seq, 0); err != nil {
		return nil, err
	}
	b := engine.NewBatch(seq, 0, len(ids), m.want())
	b.Tokens = ids
	last := len(ids) - 1
	b.Want[last] |= engine.WantLogits
	out, err := m.stage.Forward(b)
	if err != nil {
		return nil, err
	}
	sampler, err := engine.NewSampler(ctx, m.vocab, o)
	if err != nil {
		return nil, err
	}
	s := &slot{seq: seq, sampler: sampler, doc: &document{tokens: ids, from: last, states: m.room(answer + 1)}}
	if s.next, err = sampler.Sample(nil, out.Logits, len(ids)); err != nil {
		sampler.Close()
		return nil, err
	}
	if m.whole && !m.bare {
		s.doc.lead = last
		for i := range last {
			m.record(s.doc, out, i, false)
		}
	}
	m.record(s.doc, out, last, false)
	s.doc.greedy = append(s.doc.greedy, int32(engine.Best(out.Logits)))
	return s, nil
}

// step computes the next token of every open answer and decides the one after. Answers
// that end with it go to docs.
func (m *model) step(open *[]*slot, free *[]int, docs []*document) error {
	n := len(*open)
	b := engine.NewBatch(0, 0, n, m.want()|engine.WantLogits)
	b.Tokens = make([]int32, n)
	for i, s := range *open {
		b.Tokens[i], b.Pos[i], b.Seq[i] = s.next, int32(len(s.doc.tokens)), int32(s.seq)
		s.doc.tokens = append(s.doc.tokens, s.next)
	}
	out, err := m.stage.Forward(b)
	if err != nil {
		return fmt.Errorf("writing answers: %w", err)
	}
	v := m.stage.VocabSize()
	left := (*open)[:0]
	for i, s := range *open {
		m.record(s.doc, out, i, true)
		if s.next, err = s.sampler.Sample(nil, out.Logits[i*v:(i+1)*v], len(s.doc.tokens)); err != nil {
			return err
		}
		if m.vocab.End(s.next) || s.doc.rows() > answer {
			s.sampler.Close()
			docs[s.at] = s.doc
			*free = append(*free, s.seq)
			continue
		}
		left = append(left, s)
	}
	*open = left
	return nil
}
