package node

import (
	"context"
	"errors"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/infer"
	"skerry/appliance/server"
)

// slots are those of package batch as the core wants them.
type slots struct{ *batch.Slots }

func (s slots) Acquire(ctx context.Context, a batch.Ask) (server.Slot, error) {
	held, err := s.Slots.Acquire(ctx, a)
	if err != nil {
		return nil, refusedSlot(err)
	}
	return slot{held}, nil
}

// refusedSlot says in the client's words why there is no slot.
func refusedSlot(err error) error {
	if full := new(batch.FullError); errors.As(err, &full) {
		return &infer.Error{Code: infer.Busy, Message: full.Error(), RetryAfter: full.RetryAfter}
	}
	if errors.Is(err, batch.ErrClosed) {
		return &infer.Error{Code: infer.Loading, Message: batch.ErrClosed.Error(), RetryAfter: time.Second}
	}
	return err
}

func (s slots) Full() error {
	if err := s.Slots.Full(); err != nil {
		return refusedSlot(err)
	}
	return nil
}

// slot is one of them.
type slot struct{ *batch.Slot }

func (s slot) Generate(ctx context.Context, prompt []int32, o decode.Options, emit func(infer.Token)) (decode.Result, error) {
	return s.Session().Generate(ctx, prompt, o, emit)
}

func (s slot) Bytes() (up, down uint64) {
	cloud, ok := s.Cloud().(*CloudSession)
	if !ok {
		return 0, 0
	}
	return cloud.Bytes()
}
