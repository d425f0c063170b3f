package main

import (
	"context"
	"errors"
	"sync"
	"time"

	ans "skerry/appliance/answer"
	"skerry/appliance/decode"
	"skerry/appliance/decode/slots"
	"skerry/appliance/serve"
)

// daemonSlots are package slots' as the core wants them.
type daemonSlots struct {
	*slots.Slots

	mu     sync.Mutex         // guards clouds
	clouds map[int]*boardLink // by slot
}

func (s *daemonSlots) Acquire(ctx context.Context, a serve.SlotAsk) (serve.Slot, error) {
	slot, err := s.Slots.Acquire(ctx, slots.Ask{Client: a.Client, Session: a.Session, Prompt: a.Prompt, Progress: a.Progress})
	if full := new(slots.FullError); errors.As(err, &full) {
		return nil, &ans.Error{Code: ans.Busy, Message: full.Error(), RetryAfter: full.RetryAfter}
	}
	if errors.Is(err, slots.ErrClosed) {
		return nil, &ans.Error{Code: ans.Loading, Message: slots.ErrClosed.Error(), RetryAfter: time.Second}
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return daemonSlot{slot, s.clouds[slot.Seq()]}, nil
}

func (s *daemonSlots) Stats() serve.SlotStats {
	st := s.Slots.Stats()
	return serve.SlotStats{Waiting: st.Waiting, Limit: st.Limit, Refused: st.Refused, CacheBytes: st.CacheBytes}
}

func (s *daemonSlots) Close() { s.Slots.Close() }

// opened notes the cloud of a slot.
func (s *daemonSlots) opened(seq int, l *boardLink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clouds[seq] = l
}

// daemonSlot is one of them.
type daemonSlot struct {
	*slots.Slot
	cloud *boardLink // nil for none
}

func (s daemonSlot) Generate(ctx context.Context, prompt []int32, o decode.Options, emit func(decode.Token)) (decode.Answer, error) {
	return s.Session().Generate(ctx, prompt, o, emit)
}

func (s daemonSlot) Bytes() (up, down uint64) {
	if s.cloud == nil {
		return 0, 0
	}
	return s.cloud.bytes()
}

// closingLink is a session with the cloud that package slots closes.
type closingLink struct{ *boardLink }

func (l closingLink) Close() error {
	l.close()
	return nil
}
