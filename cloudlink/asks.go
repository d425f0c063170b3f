package cloudlink

import (
	"context"
	"fmt"
	"time"

	"skerry/cloudlink/wire"
)

// Candidate is a token the cloud thinks likely.
type Candidate struct {
	ID    int32
	Logit float32
}

// Answer is the cloud's word on one position.
type Answer struct {
	Candidates []Candidate   // by falling logit, ties by rising id
	Row        []float32     // [n_vocab]float32 in place of candidates, when asked with topK 0
	LogSumExp  float64       // over the whole row
	Queue      time.Duration // in the cloud, from having all rows to computing
	Compute    time.Duration // of forward passes
	Rows       int           // positions computed for it
}

// askKey matches an answer to who waits for it.
type askKey struct {
	branch uint32
	pos    int
	serial uint32
}

type askResult struct {
	answer *wire.Answer
	err    error
}

// Ask returns the topK largest logits of the row at pos, or the whole row when
// topK is 0. The row may be appended before or after. It returns ErrLost when
// the connection dies, ErrTruncated, ErrStale when the cloud no longer has the
// row, another refusal as *RemoteError, or the context's error; the cloud's
// answer is then dropped.
func (s *Session) Ask(ctx context.Context, pos, topK int) (Answer, error) {
	return s.AskMasked(ctx, pos, topK, nil)
}

// AskMasked is Ask among the token ids of mask only; nil stands for all.
func (s *Session) AskMasked(ctx context.Context, pos, topK int, mask []int32) (Answer, error) {
	key, result, err := s.expect(pos)
	if err != nil {
		return Answer{}, err
	}
	ask := wire.NewAsk(s.ref(key.branch, pos), key.serial, uint32(max(topK, 0)), mask)
	if at, ok := ctx.Deadline(); ok {
		ask.Deadline = uint64(max(time.Until(at).Microseconds(), 1))
	}
	if err := s.send(ask); err != nil {
		s.abandon(key)
		return Answer{}, fmt.Errorf("session %s: ask at %d: %w", s.opt.ID, pos, err)
	}
	select {
	case r := <-result:
		if r.err != nil {
			return Answer{}, r.err
		}
		return newAnswer(r.answer), nil
	case <-ctx.Done():
		s.abandon(key)
		return Answer{}, fmt.Errorf("session %s: ask at %d: %w", s.opt.ID, pos, ctx.Err())
	}
}

// expect registers an ask on the current branch.
func (s *Session) expect(pos int) (askKey, chan askResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return askKey{}, nil, s.err
	}
	if pos < 0 || s.limit > 0 && pos >= s.limit {
		return askKey{}, nil, fmt.Errorf("session %s: ask at %d of a context of %d: %w", s.opt.ID, pos, s.limit, ErrContextFull)
	}
	s.serial++
	s.stats.Asks++
	key := askKey{branch: s.lineage.current, pos: pos, serial: s.serial}
	result := make(chan askResult, 1)
	s.waiting[key] = result
	return key, result, nil
}

func (s *Session) abandon(key askKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, key)
}

// deliver hands a result to whoever waits for it; nobody does when it belongs
// to an older branch.
func (s *Session) deliver(ref wire.Ref, serial uint32, r askResult) bool {
	if ref.Epoch != s.client.conf.Epoch || ref.Session != s.opt.ID {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := askKey{branch: ref.Branch, pos: int(ref.Position), serial: serial}
	result, ok := s.waiting[key]
	if ok {
		delete(s.waiting, key)
		result <- r
		s.stats.Answers++
	}
	return ok
}

// fail ends every ask that waits; mu is held.
func (s *Session) fail(err error) {
	for key, result := range s.waiting {
		delete(s.waiting, key)
		result <- askResult{err: err}
	}
}

func newAnswer(m *wire.Answer) Answer {
	a := Answer{
		LogSumExp: m.LogSumExp, Rows: int(m.Rows),
		Queue:   time.Duration(m.Queue) * time.Microsecond,
		Compute: time.Duration(m.Compute) * time.Microsecond,
	}
	if m.IDs == nil {
		a.Row = m.Logits
		return a
	}
	a.Candidates = make([]Candidate, len(m.IDs))
	for i, id := range m.IDs {
		a.Candidates[i] = Candidate{ID: id, Logit: m.Logits[i]}
	}
	return a
}
