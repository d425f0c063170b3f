package calibrate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"skerry/appliance/bundle/train"
	"skerry/appliance/engine"
)

// gather reads and writes about so many tokens of new text.
func (t *training) gather(ctx context.Context, tokens int) (fresh []*document, err error) {
	left := min(tokens, t.opt.Tokens-t.tokens)
	take := func(docs []*document) (n int) {
		for _, d := range docs {
			for _, id := range d.tokens[d.from:] {
				t.counts[id]++
			}
			n += d.rows()
		}
		fresh = append(fresh, docs...)
		t.tokens += n
		return n
	}
	before := t.tokens
	if t.round > 0 {
		docs, err := t.ownText(ctx, int(ownShare*float64(left)))
		if err != nil {
			return nil, err
		}
		take(docs)
	}
	for t.tokens-before < left {
		var next *stream // that has given the least of its share
		for i := range t.streams {
			if s := &t.streams[i]; len(s.parts) > 0 && (next == nil || float64(s.given)/s.share < float64(next.given)/next.share) {
				next = s
			}
		}
		if next == nil {
			break
		}
		docs, err := t.run.gather(ctx, next.parts[0])
		if err != nil {
			return nil, err
		}
		next.parts, next.given = next.parts[1:], next.given+take(docs)
	}
	return fresh, ctx.Err()
}

// ownText has the draft, as it is, answer prompts, and the whole model read its answers.
func (t *training) ownText(ctx context.Context, tokens int) (docs []*document, err error) {
	asks := prompts(fitForms, fitTopics, t.opt.Seed+1)
	wanted := max(1, tokens/(answer/2)) // answers
	at := t.asked % len(asks)
	asks = asks[at:min(len(asks), at+wanted)]
	t.asked += wanted
	path := fmt.Sprintf("%s-own-%d%s", t.path[:len(t.path)-len(trainingFile)], t.round, statesFile)
	t.parts = append(t.parts, path)
	if docs, err := loadDocuments(path, t.width()); err == nil {
		for _, d := range docs {
			t.progress(d.rows())
		}
		return docs, nil
	}
	written, err := t.writeOwn(ctx, asks)
	if err != nil {
		return nil, err
	}
	for _, w := range written {
		d, err := t.m.read(ctx, w.tokens, false, func(int) {})
		if err != nil {
			return nil, err
		}
		d.from, d.lead = w.from, w.from
		docs = append(docs, d)
		t.progress(d.rows())
	}
	if err := saveDocuments(path, docs, t.width()); err != nil {
		t.noteUnsaved(err)
	}
	return docs, nil
}

// writeOwn has the draft answer prompts.
func (t *training) writeOwn(ctx context.Context, asks []string) ([]*document, error) {
	if err := os.MkdirAll(t.cache, 0o755); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(t.cache, unfinished)
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	w := bufio.NewWriterSize(f, 1<<20)
	err = errors.Join(t.write(ctx, w), w.Flush(), f.Close())
	if err != nil {
		return nil, err
	}
	s, err := engine.OpenStage(f.Name(), engine.Options{Context: Positions, Sequences: slots, Rows: 64, Threads: t.opt.Threads, NoFlashAttention: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	own := &model{stage: s, vocab: t.m.vocab, d: t.m.d, bare: true, template: t.m.template}
	return own.write(ctx, asks, true, t.opt.Seed+uint64(t.round)<<32, func(int) {})
}

// remembered are documents of the rounds before, as many as make up for new ones what is learned
// more than once.
func (t *training) remembered(fresh []*document) (out []*document) {
	if len(t.all) == 0 {
		return nil
	}
	r := t.rand(3)
	for range len(fresh) * (t.opt.Passes - 1) {
		out = append(out, t.all[r.IntN(len(t.all))])
	}
	return out
}

// sequence is a document as the net takes it: whole, since the whole model's hidden states follow
// from all that comes before them, and attention is led by the first position above all.
func (t *training) sequence(doc *document) train.Sequence {
	d, rows := t.m.d, len(doc.tokens)
	s := train.Sequence{In: make([]float32, rows*d), Targets: make([]float32, doc.rows()*d), From: doc.from}
	last := make([]float32, d)
	for i := range rows {
		row := i - doc.from
		doc.stream(row, 0, 1, s.In[i*d:(i+1)*d])
		if row >= 0 {
			doc.stream(row, 1, 1, last)
			t.norm.apply(last, s.Targets[row*d:(row+1)*d])
		}
	}
	return s
}
