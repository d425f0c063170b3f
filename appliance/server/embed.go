package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/infer"
)

// This file makes embeddings. A request is one slot's work at a time, beside the answers,
// and gives its turn up between two texts where others wait.

// embeddingSlots are Slots whose slots make embeddings.
type embeddingSlots interface {
	// Embeds is how many positions a text may have, or why there are no embeddings.
	Embeds() (positions int, err error)
	// Contended says whether others wait for a slot.
	Contended() bool
}

// embeddingSlot is a Slot that was acquired with batch.Ask.Anew. Errors are *infer.Error or
// internal.
type embeddingSlot interface {
	Embed(ctx context.Context, tokens []int32, progress func(done, total int)) ([]float32, error)
}

var _ infer.Embedder = (*Core)(nil)

// Embed makes vectors of texts. See infer.Embedder.
func (c *Core) Embed(ctx context.Context, r infer.EmbedRequest) (out infer.Embeddings, err error) {
	began := time.Now()
	m, err := c.use(ctx, r.Model)
	if err != nil {
		return out, err
	}
	defer c.release(m)
	out.Model, out.Pooling, out.Load = m.Info.Name, decode.Pooling, time.Since(began)
	e := &embedding{core: c, model: m.Model, client: r.Client}
	if err := e.able(r.Dimensions); err != nil {
		return out, err
	}
	texts, err := e.tokenize(ctx, r, &out)
	if err != nil {
		return out, err
	}
	if err := c.begin(); err != nil {
		return out, err
	}
	defer c.done()
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.all, func() { cancel(context.Cause(c.all)) })()
	defer e.giveUp()
	for _, tokens := range texts {
		vector, err := e.one(run, tokens)
		if err != nil {
			return out, e.why(run, err)
		}
		out.Vectors, out.Tokens = append(out.Vectors, shorten(vector, r.Dimensions)), out.Tokens+len(tokens)
	}
	out.Total = time.Since(began)
	return out, nil
}

// begin counts a request that is no answer as under way, so that the end waits for it.
func (c *Core) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping {
		return errStopping
	}
	c.busy++
	c.noteAsked()
	return nil
}

func (c *Core) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobEnded()
}

// embedding is a request under way.
type embedding struct {
	core      *Core
	model     *Model
	client    string
	positions int  // a text may have
	slot      Slot // nil while it has none
	had       bool // it had one
}

// able says why the model makes no such vectors, nil where it does.
func (e *embedding) able(dimensions int) error {
	slots, ok := e.model.Slots.(embeddingSlots)
	err := decode.ErrNoEmbedding
	if ok {
		e.positions, err = slots.Embeds()
	}
	if err != nil {
		return infer.Errorf(infer.BadRequest, "model", "%s: %s; use mode = \"unsplit\" where memory has room for the whole model, or ask a server that holds it", e.model.Info.Name, oneLine(err))
	}
	if width := e.model.Info.Embedding; width > 0 && dimensions > width {
		return infer.Errorf(infer.BadRequest, "dimensions", "dimensions is %d: vectors of %s have %d", dimensions, e.model.Info.Name, width)
	}
	return nil
}

// tokenize makes tokens of all texts, as a prompt is made.
func (e *embedding) tokenize(ctx context.Context, r infer.EmbedRequest, out *infer.Embeddings) (texts [][]int32, err error) {
	bytes := 0
	for _, t := range r.Texts {
		bytes += len(t.Text) + len(t.Tokens)
	}
	leave, err := e.core.prepares(ctx, e.model, bytes)
	if err != nil {
		return nil, err
	}
	defer leave()
	for i, t := range r.Texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		tokens, whole, err := e.tokens(ctx, i, t, r.Truncate)
		if err != nil {
			return nil, err
		}
		if !whole {
			out.Truncated = append(out.Truncated, i)
		}
		texts = append(texts, tokens)
	}
	return texts, nil
}

// tokens of the i-th text; whole is false where only its beginning fits and that is wanted.
func (e *embedding) tokens(ctx context.Context, i int, t infer.EmbedText, truncate bool) (ids []int32, whole bool, err error) {
	param, whole := fmt.Sprintf("input[%d]", i), true
	if ids = t.Tokens; t.Tokens == nil {
		text := t.Text
		if truncate {
			if text, err = e.beginning(ctx, text); err != nil {
				return nil, false, err
			}
			whole = len(text) == len(t.Text)
		}
		tokenizer := &counting{ctx: ctx, vocab: e.model.Vocab, context: e.positions}
		if truncate {
			tokenizer.context = math.MaxInt32 / beyond / 2 // what is too long is cut below
		}
		if ids, err = tokenizer.Tokenize(text, true, false); err != nil {
			return nil, false, withParam(err, param)
		}
	}
	if len(ids) == 0 || t.Tokens == nil && t.Text == "" {
		return nil, false, infer.Errorf(infer.BadRequest, param, "%s is empty: send some text", param)
	}
	for k, id := range t.Tokens {
		if len(e.model.Vocab.Piece(id, true)) == 0 {
			return nil, false, infer.Errorf(infer.BadRequest, param, "token %d at place %d of %s is none of the model's: send the text, or the tokens that /tokenize makes of it", id, k, param)
		}
	}
	if n := len(ids); n > e.positions {
		if !truncate {
			return nil, false, infer.TooLongErrorf(n, e.positions, param, "%s is %d tokens, context %d: cut it into shorter ones, or set truncate", param, n, e.positions)
		}
		ids, whole = slices.Clone(ids[:e.positions]), false
	}
	return ids, whole, nil
}

// withParam gives the error of a text its name.
func withParam(err error, param string) error {
	var said *infer.Error
	if !errors.As(err, &said) {
		return err
	}
	named := *said
	named.Param = param
	return &named
}

// beginning of a text that is enough to fill the context, so that a long one is not
// tokenized whole to be cut.
func (e *embedding) beginning(ctx context.Context, text string) (string, error) {
	at := 0
	for count := 0; at < len(text) && count <= e.positions; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n := cut(text[at:], stretch)
		ids, err := e.model.Vocab.Tokenize(text[at:at+n], false, false)
		if err != nil {
			return "", err
		}
		at, count = at+n, count+len(ids)
	}
	return text[:at], nil
}

// one makes the vector of a text, in the slot that it has, or in one that it waits for.
func (e *embedding) one(ctx context.Context, tokens []int32) ([]float32, error) {
	if e.slot != nil && e.model.Slots.(embeddingSlots).Contended() {
		e.giveUp()
	}
	if e.slot == nil {
		began := time.Now()
		slot, err := e.model.Slots.Acquire(ctx, batch.Ask{Client: e.client, Anew: true, Admitted: e.had})
		if err != nil {
			return nil, err
		}
		e.slot, e.had = slot, true
		if e.core.opt.Queued != nil {
			e.core.opt.Queued(time.Since(began))
		}
	}
	progress := func(int, int) {}
	if e.core.opt.Watch != nil {
		w := e.core.opt.Watch()
		defer w.Done()
		progress = func(int, int) { w.Progress() }
	}
	slot, ok := e.slot.(embeddingSlot)
	if !ok {
		return nil, errors.New("the slot makes no embeddings")
	}
	return slot.Embed(ctx, tokens, progress)
}

// giveUp gives the slot back.
func (e *embedding) giveUp() {
	if e.slot != nil {
		e.slot.Release()
		e.slot = nil
	}
}

// why a request has ended, as its client is told.
func (e *embedding) why(ctx context.Context, err error) error {
	var said *infer.Error
	switch {
	case errors.As(context.Cause(ctx), &said), errors.As(err, &said):
		return said
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return infer.Errorf(infer.Internal, "", "the embedding failed: %s", oneLine(err))
}

// shorten keeps the first numbers of a vector, 0 for all, and scales them to length 1.
func shorten(vector []float32, dimensions int) []float32 {
	if dimensions <= 0 || dimensions >= len(vector) {
		return vector
	}
	if unit, _ := infer.Unit(vector[:dimensions]); unit != nil {
		return unit
	}
	return slices.Clone(vector[:dimensions])
}
