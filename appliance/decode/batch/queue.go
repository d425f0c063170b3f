package batch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"skerry/appliance/decode"
)

// firstGuess is how long an answer takes while none was seen.
const firstGuess = 10 * time.Second

// waiter is an Acquire that waits.
type waiter struct {
	ask   Ask
	got   chan *slot // one is sent: the slot, or nil when the Slots are closed
	moved chan int   // the newest number of those ahead
	ahead int        // as last told
}

// Acquire waits for a slot and gives it the longest prefix of the prompt that is
// to be had: of its own, of another slot's, or from disk. Errors are a *FullError,
// decode.ErrPromptTooLong, ErrClosed, or ctx's.
func (s *Slots) Acquire(ctx context.Context, a Ask) (*Slot, error) {
	if len(a.Prompt) >= s.context {
		return nil, fmt.Errorf("%w: it is %d tokens, the context %d: shorten it or raise the context", decode.ErrPromptTooLong, len(a.Prompt), s.context)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	at, err := s.wait(ctx, a)
	if err != nil {
		return nil, err
	}
	sl := &Slot{s: s, at: at, began: s.opt.Now()}
	if a.Anew {
		err = s.clear(sl)
	} else {
		err = s.prepare(sl, a)
	}
	if err != nil {
		sl.Release()
		return nil, err
	}
	return sl, nil
}

// wait waits for a turn.
func (s *Slots) wait(ctx context.Context, a Ask) (*slot, error) {
	w := &waiter{ask: a, got: make(chan *slot, 1), moved: make(chan int, 1), ahead: -1}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	s.queue = append(s.queue, w)
	s.grant()
	if waiting := len(s.queue); waiting > s.opt.Queue && !a.Admitted && slices.Contains(s.queue, w) {
		s.queue = slices.DeleteFunc(s.queue, func(x *waiter) bool { return x == w })
		s.stats.Refused++
		err := &FullError{Waiting: waiting - 1, RetryAfter: s.retryAfter(waiting)}
		s.mu.Unlock()
		return nil, err
	}
	s.mu.Unlock()
	for {
		select {
		case ahead := <-w.moved:
			if a.Progress != nil {
				a.Progress(ahead)
			}
		case at := <-w.got:
			if at == nil {
				return nil, ErrClosed
			}
			return at, nil
		case <-ctx.Done():
			s.abandon(w)
			return nil, ctx.Err()
		}
	}
}

// Full is the *FullError that an Acquire would get now, and counts as one that did; nil
// where it would be given a slot, or a place in the queue.
func (s *Slots) Full() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := len(s.queue)
	if s.closed || waiting < s.opt.Queue || slices.ContainsFunc(s.slots, func(sl *slot) bool { return !sl.taken }) {
		return nil
	}
	s.stats.Refused++
	return &FullError{Waiting: waiting, RetryAfter: s.retryAfter(waiting + 1)}
}

// abandon takes a waiter out of the queue, or gives back what it was just given.
func (s *Slots) abandon(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case at := <-w.got:
		if at != nil {
			s.free(at)
		}
	default:
		s.queue = slices.DeleteFunc(s.queue, func(x *waiter) bool { return x == w })
		s.grant()
	}
}

// free makes a slot idle; mu is held.
func (s *Slots) free(at *slot) {
	at.taken, at.used = false, s.opt.Now()
	s.batcher.running.Add(-1)
	s.grant()
}

// release gives back the slot of an answer, and keeps on disk what is worth it.
func (s *Slots) release(sl *Slot) {
	s.keep(sl)
	if err := sl.at.session.NoDraft(); err != sl.noDraft {
		s.opt.Log.Warn("a conversation goes on without the draft model, the next asks it again", "slot", sl.at.seq, "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took += (s.opt.Now().Sub(sl.began) - s.took) / 4
	s.free(sl.at)
}

// retryAfter estimates when one more request would find a place; mu is held.
func (s *Slots) retryAfter(waiting int) time.Duration {
	d := s.took * time.Duration(waiting) / time.Duration(len(s.slots))
	return min(max(d, time.Second), 5*time.Minute)
}

// grant gives free slots to those whose turn it is; mu is held.
func (s *Slots) grant() {
	for len(s.queue) > 0 && !s.closed {
		w := s.order()[0]
		at := s.choose(w.ask)
		if at == nil {
			break
		}
		s.queue = slices.DeleteFunc(s.queue, func(x *waiter) bool { return x == w })
		s.turn++
		s.turns[w.ask.Client] = s.turn
		at.taken, at.id, at.client, at.used = true, w.ask.Session, w.ask.Client, s.opt.Now()
		s.batcher.running.Add(1)
		w.got <- at
	}
	s.forgetTurns()
	s.reportQueue()
}

// order is the queue in the order of turns: of the client with the fewest slots,
// then of the one whose last turn is longest ago, the first to have come; mu is
// held.
func (s *Slots) order() (out []*waiter) {
	busy, turns, turn := map[string]int{}, maps.Clone(s.turns), s.turn
	for _, sl := range s.slots {
		if sl.taken {
			busy[sl.client]++
		}
	}
	for left := slices.Clone(s.queue); len(left) > 0; {
		best := 0
		for i, w := range left {
			a, b := w.ask.Client, left[best].ask.Client
			if busy[a] < busy[b] || busy[a] == busy[b] && turns[a] < turns[b] {
				best = i
			}
		}
		w := left[best]
		turn++
		busy[w.ask.Client]++
		turns[w.ask.Client] = turn
		out, left = append(out, w), slices.Delete(left, best, best+1)
	}
	return out
}

// forgetTurns keeps the record of turns bounded; mu is held.
func (s *Slots) forgetTurns() {
	if len(s.turns) > 1024 {
		clear(s.turns)
	}
}

// reportQueue tells those that wait how many are ahead; mu is held.
func (s *Slots) reportQueue() {
	for i, w := range s.order() {
		if w.ahead == i {
			continue
		}
		w.ahead = i
		select {
		case <-w.moved: // it has not seen the last
		default:
		}
		w.moved <- i
	}
}

// choose picks the free slot for a request: the session's own, else the one that
// holds the longest prefix of the prompt, else the least recently used; nil while
// all are taken; mu is held.
func (s *Slots) choose(a Ask) (best *slot) {
	most := 0
	for _, sl := range s.slots {
		if sl.taken {
			continue
		}
		if a.Session != "" && sl.id == a.Session {
			return sl
		}
		held := sl.session.Held()
		n := commonPrefix(held, a.Prompt)
		if n < len(held)/2 { // most of another conversation would be lost: it is forked instead
			n = 0
		}
		if best == nil || n > most || n == most && sl.used.Before(best.used) {
			best, most = sl, n
		}
	}
	return best
}

// commonPrefix is how many tokens a and b begin with alike.
func commonPrefix(a, b []int32) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
