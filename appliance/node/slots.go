package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/infer"
	"skerry/appliance/server"
)

// slots are those of package batch as the core wants them.
type slots struct {
	*batch.Slots

	mu     sync.Mutex            // guards clouds
	clouds map[int]*CloudSession // by slot
}

func (s *slots) Acquire(ctx context.Context, a batch.Ask) (server.Slot, error) {
	held, err := s.Slots.Acquire(ctx, a)
	if err != nil {
		return nil, refusedSlot(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slot{held, s.clouds[held.Seq()]}, nil
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

func (s *slots) Full() error {
	if err := s.Slots.Full(); err != nil {
		return refusedSlot(err)
	}
	return nil
}

func (s *slots) Close() { s.Slots.Close() }

// opened notes the cloud of a slot.
func (s *slots) opened(seq int, l *CloudSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clouds[seq] = l
}

// slot is one of them.
type slot struct {
	*batch.Slot
	cloud *CloudSession // nil for none
}

func (s slot) Generate(ctx context.Context, prompt []int32, o decode.Options, emit func(infer.Token)) (decode.Result, error) {
	return s.Session().Generate(ctx, prompt, o, emit)
}

func (s slot) Bytes() (up, down uint64) {
	if s.cloud == nil {
		return 0, 0
	}
	return s.cloud.Bytes()
}
