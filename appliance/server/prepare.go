package server

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"skerry/appliance/infer"
)

// Work is done for a request only once it is known to be of use: what cannot fit is
// refused by its size, what would find no place by the queue, and the rest is rendered
// and tokenized a few requests at a time, for as long as their clients are there.
const (
	// promptsAtOnce are made: each takes a core. A large one is made alone: a tokenizer
	// takes up to a kilobyte for each of its bytes.
	promptsAtOnce = 2
	large         = 128 << 10 // bytes
	// stretch is how much is tokenized before it is looked whether the client is still
	// there and the prompt can still fit, in bytes.
	stretch = 32 << 10
	// beyond is how many contexts a prompt is counted up to, for the words in which it is
	// refused; the pieces of a text come to about as many tokens as the whole. Of text
	// with unusually long tokens, more than sparse bytes for each position of the
	// context, not even a whole one more.
	beyond = 2
	sparse = 16
)

// context that a request has, in positions.
func (m *Model) context(r infer.Request) int {
	if r.Context > 0 {
		return min(m.Info.Context, r.Context)
	}
	return m.Info.Context
}

// prompt of a request as tokens, or an *infer.Error. Its images are there until release.
func (c *Core) prompt(ctx context.Context, m *Model, r infer.Request) (ids []int32, release func(), err error) {
	release = func() {}
	if err := m.fits(r); err != nil {
		return nil, release, err
	}
	leave, err := c.place(m)
	if err != nil {
		return nil, release, err
	}
	defer leave()
	images, release, err := m.images(ctx, r) // which takes seconds, and turns from no text
	if err != nil {
		return nil, release, err
	}
	done, err := c.promptTurn(ctx, bytesOf(r))
	if err != nil {
		return nil, release, err
	}
	defer done()
	ids, err = m.prompt(&counting{ctx: ctx, vocab: m.Vocab, context: m.context(r)}, r, images...)
	return ids, release, err
}

// fits refuses what is too long whatever its tokens are: a message is one at least, and
// none is longer than the vocabulary's longest. What templates leave out counts for
// nothing: space around messages, and earlier thoughts.
func (m *Model) fits(r infer.Request) error {
	context := m.context(r)
	if n := len(r.Messages); n > context {
		return infer.TooLongErrorf(n, context, "messages", "there are %d messages, and the context has %d positions: send fewer", n, context)
	}
	if m.Longest == 0 {
		return nil
	}
	bytes := bytesOf(r)
	if least := (bytes + m.Longest - 1) / m.Longest; least > context {
		return infer.TooLongErrorf(least, context, "", "prompt is %d bytes, which are over %d tokens, context %d: shorten it or raise num_ctx", bytes, least-1, context)
	}
	return nil
}

// bytesOf the text that a template shows at least.
func bytesOf(r infer.Request) int {
	bytes := len(r.PromptTokens) + len(strings.TrimSpace(r.Prompt)) + len(strings.TrimSpace(r.Suffix))
	for _, x := range r.Messages {
		text := x.Content
		if i := strings.LastIndex(text, "</think>"); i >= 0 {
			text = text[i:]
		}
		bytes += len(strings.TrimSpace(text))
	}
	return bytes
}

// prepares waits for a turn to tokenize so many bytes. Those that wait count against the queue.
func (c *Core) prepares(ctx context.Context, m *Model, bytes int) (leave func(), err error) {
	free, err := c.place(m)
	if err != nil {
		return nil, err
	}
	done, err := c.promptTurn(ctx, bytes)
	if err != nil {
		free()
		return nil, err
	}
	return func() { done(); free() }, nil
}

// place counts a request whose prompt is to be made against the queue.
func (c *Core) place(m *Model) (leave func(), err error) {
	if err := m.Slots.Full(); err != nil {
		return nil, err
	}
	places := max(promptsAtOnce, m.Status.Parallel) + m.Slots.Stats().Limit
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.preparing >= places {
		return nil, &infer.Error{Code: infer.Busy, RetryAfter: time.Second, Message: fmt.Sprintf("the queue is full: the prompts of %d requests are being read; ask again in a moment", places)}
	}
	c.preparing++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.preparing--
	}, nil
}

// promptTurn waits for a turn to make a prompt of so many bytes.
func (c *Core) promptTurn(ctx context.Context, bytes int) (done func(), err error) {
	weight := int64(1)
	if bytes > large {
		weight = promptsAtOnce
	}
	if err := c.promptTurns.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	return func() { c.promptTurns.Release(weight) }, nil
}

// counting is a tokenizer that stops once the client has gone, or the prompt is too
// long in any case.
type counting struct {
	ctx     context.Context
	vocab   Vocab
	context int
	count   int // tokens so far
	bytes   int // of text so far
}

func (t *counting) Tokenize(text string, special, markup bool) ([]int32, error) {
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	if t.bytes += len(text); len(text) > stretch {
		if err := t.look(text, markup); err != nil {
			return nil, err
		}
	}
	ids, err := t.vocab.Tokenize(text, special, markup)
	if err != nil {
		return nil, err
	}
	t.count += len(ids)
	return ids, t.tooLong(t.count)
}

// look counts the tokens of a long text piece by piece.
func (t *counting) look(text string, markup bool) error {
	count := t.count
	for text != "" {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		n := cut(text, stretch)
		ids, err := t.vocab.Tokenize(text[:n], false, markup)
		if err != nil {
			return err
		}
		text, count = text[n:], count+len(ids)
		if err := t.tooLong(count); err != nil {
			return err
		}
	}
	return nil
}

func (t *counting) tooLong(count int) error {
	most := beyond * t.context
	if t.bytes > sparse*t.context {
		most = t.context + t.context/8 + 64
	}
	if count <= most {
		return nil
	}
	return infer.TooLongErrorf(count, t.context, "", "prompt is over %d tokens, context %d: shorten it or raise num_ctx", count-1, t.context)
}

// cut is where the first piece of a text ends, of most bytes: before the last space,
// where words begin, or else between two characters.
func cut(text string, most int) int {
	if len(text) <= most {
		return len(text)
	}
	if i := strings.LastIndexAny(text[most/2:most], " \n"); i > 0 {
		return most/2 + i
	}
	n := most
	for n > most-utf8.UTFMax && !utf8.RuneStart(text[n]) {
		n--
	}
	return n
}
