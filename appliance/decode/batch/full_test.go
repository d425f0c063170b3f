package batch

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Full says beforehand what an Acquire would get.
func TestFull(t *testing.T) {
	virtually(t, Options{Sequences: 1, Queue: 1}, func(t *testing.T, s *Slots, _ *slow) {
		if err := s.Full(); err != nil {
			t.Errorf("with a free slot: %v", err)
		}
		held := acquire(t, s, Ask{Prompt: text(5, 0)})
		if err := s.Full(); err != nil {
			t.Errorf("with a place in the queue: %v", err)
		}
		waits := make(chan *Slot, 1)
		go func() { waits <- acquire(t, s, Ask{Prompt: text(5, 0)}) }()
		synctest.Wait()
		var full *FullError
		if err := s.Full(); !errors.As(err, &full) || full.Waiting != 1 || full.RetryAfter < time.Second {
			t.Errorf("%v", err)
		}
		if st := s.Stats(); st.Refused != 1 {
			t.Errorf("%+v", st)
		}
		held.Release()
		(<-waits).Release()
		if err := s.Full(); err != nil {
			t.Errorf("once all is over: %v", err)
		}
	})
	virtually(t, Options{Sequences: 1}, func(t *testing.T, s *Slots, _ *slow) { // without a queue
		if err := s.Full(); err != nil {
			t.Errorf("with a free slot: %v", err)
		}
		held := acquire(t, s, Ask{Prompt: text(5, 0)})
		if err := s.Full(); !errors.Is(err, ErrQueueFull) {
			t.Errorf("%v", err)
		}
		held.Release()
	})
}
