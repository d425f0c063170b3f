package server

import (
	"context"
	"strings"

	"skerry/appliance/infer"
)

// mostText is how long a text may be that is tokenized for its tokens alone, in bytes, and how
// many tokens are turned into text at once.
const mostText = 256 << 10

// piecesAtOnce are looked up before it is looked whether the client is still there.
const piecesAtOnce = 1024

var _ infer.Tokenizer = (*Core)(nil)

// Tokenize turns text into tokens. See infer.Tokenizer.
func (c *Core) Tokenize(ctx context.Context, model, text string, special, markup bool) (ids []int32, err error) {
	if len(text) > mostText {
		return nil, infer.Errorf(infer.BadRequest, "content", "the text has %d bytes: send at most %d at once", len(text), mostText)
	}
	err = c.reading(ctx, model, len(text), func(m *Model) error {
		ids, err = m.Vocab.Tokenize(text, special, markup)
		return err
	})
	return ids, err
}

// Pieces are the bytes of tokens. See infer.Tokenizer.
func (c *Core) Pieces(ctx context.Context, model string, ids []int32) (pieces [][]byte, err error) {
	if len(ids) > mostText {
		return nil, infer.Errorf(infer.BadRequest, "tokens", "there are %d tokens: send at most %d at once", len(ids), mostText)
	}
	err = c.reading(ctx, model, len(ids), func(m *Model) error {
		for i, id := range ids {
			if i%piecesAtOnce == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			piece := m.Vocab.Piece(id, true)
			if len(piece) == 0 {
				return infer.Errorf(infer.BadRequest, "tokens", "token %d at place %d is none of the model's", id, i)
			}
			pieces = append(pieces, piece)
		}
		return nil
	})
	return pieces, err
}

// Render is the prompt of a request as text. See infer.Tokenizer. What could not be asked is not
// rendered either.
func (c *Core) Render(ctx context.Context, r infer.Request) (string, error) {
	var text strings.Builder
	err := c.reading(ctx, r.Model, bytesOf(r), func(m *Model) error {
		if err := m.fits(r); err != nil {
			return err
		}
		parts, err := m.render(r.Messages, r)
		for _, p := range parts {
			text.WriteString(p.Text)
		}
		return err
	})
	return text.String(), err
}

// reading has the model for as long as do takes, which counts as the making of a prompt of
// so many bytes.
func (c *Core) reading(ctx context.Context, model string, bytes int, do func(*Model) error) error {
	m, err := c.use(ctx, model)
	if err != nil {
		return err
	}
	defer c.release(m)
	leave, err := c.prepares(ctx, m.Model, bytes)
	if err != nil {
		return err
	}
	defer leave()
	return do(m.Model)
}
