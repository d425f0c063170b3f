package node

import (
	"context"
	"errors"
	"time"

	"skerry/appliance/decode/batch"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// Embed has the errors of the batch and the engine in the client's words.
func (s slot) Embed(ctx context.Context, tokens []int32, progress func(done, total int)) ([]float32, error) {
	vector, err := s.Slot.Embed(ctx, tokens, progress)
	if full := new(engine.ContextFullError); errors.As(err, &full) {
		return nil, infer.TooLongErrorf(full.Positions, full.Context, "input", "the text is %d tokens, context %d: shorten it", full.Positions, full.Context)
	}
	if errors.Is(err, batch.ErrClosed) {
		return nil, &infer.Error{Code: infer.Loading, Message: batch.ErrClosed.Error(), RetryAfter: time.Second}
	}
	return vector, err
}
