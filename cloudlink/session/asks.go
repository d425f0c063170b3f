package session

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"skerry/cloudlink/internal/linkerr"
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

// pending is an ask, or a generation, that waits. Session.mu guards it.
type pending struct {
	branch   uint32 // on which it was put last
	pos      int
	topK     int
	rows     int // wanted, the last at pos; at least 1
	mask     []int32
	deadline time.Time // zero: none
	asked    time.Time
	since    time.Time      // the cloud has had all rows for it, or got on with it; zero before
	generate *wire.Generate // nil for an ask
	lead     *wire.Lead     // likewise
	from     int            // of a lead: where its first token stands
	heard    int            // of a lead: one past the last token that the cloud knows to be taken
	result   chan askResult
}

type askResult struct {
	answer *wire.Answer
	token  *wire.Token
	led    *wire.Led
	err    error
}

// Ask returns the topK largest logits of the row at pos, or the whole row when
// topK is 0. The row may be appended before or after. It returns ErrLost when
// the connection dies or there is none, ErrTruncated, ErrStale when the cloud
// no longer has the row (never for a durable session, which sends it again),
// ErrSendFrom when rows are missing that only the caller can make (see Wants),
// another refusal as *RemoteError, or the context's error; the cloud's answer
// is then dropped.
func (s *Session) Ask(ctx context.Context, pos, topK int) (Answer, error) {
	return s.AskMasked(ctx, pos, topK, nil)
}

// AskMasked is Ask among the token ids of mask only; nil stands for all.
func (s *Session) AskMasked(ctx context.Context, pos, topK int, mask []int32) (Answer, error) {
	predicted, _, _ := s.Predict(pos)
	start := time.Now()
	out, err := s.ask(ctx, &pending{pos: pos, topK: max(topK, 0), rows: 1, mask: mask})
	var a Answer
	if err == nil {
		a = out[0]
	}
	s.judgeAnswer(a, err, time.Since(start), predicted)
	return a, err
}

// ask puts p to the cloud and waits for its answers, one a row.
func (s *Session) ask(ctx context.Context, p *pending) ([]Answer, error) {
	p.result = make(chan askResult, 1)
	p.deadline, _ = ctx.Deadline()
	serial, err := s.expect(p)
	if err != nil {
		return nil, err
	}
	select {
	case r := <-p.result:
		if r.err != nil {
			return nil, r.err
		}
		return newAnswers(r.answer), nil
	case <-ctx.Done():
		s.abandon(serial)
		return nil, fmt.Errorf("session %s: ask at %d: %w", s.opt.ID, p.pos, ctx.Err())
	}
}

// expect registers p and puts it to the cloud.
func (s *Session) expect(p *pending) (serial uint32, err error) {
	s.markDemand()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.gone(); err != nil {
		return 0, err
	}
	if p.pos < 0 || s.limit > 0 && p.pos >= s.limit {
		return 0, fmt.Errorf("session %s: ask at %d of a context of %d: %w", s.opt.ID, p.pos, s.limit, linkerr.ErrContextFull)
	}
	if s.wants >= 0 {
		return 0, s.missing()
	}
	if p.rows > 1 && !s.severalRows() {
		return 0, s.oneRow()
	}
	if p.lead != nil && !s.leads() {
		return 0, errMeanwhile
	}
	s.serial++
	s.stats.Asks++
	if err := s.put(s.serial, p); err != nil {
		return 0, fmt.Errorf("session %s: ask at %d: %w", s.opt.ID, p.pos, err)
	}
	s.waiting[s.serial] = p
	p.asked = time.Now()
	s.ready()
	return s.serial, nil
}

// put sends p on the current branch; mu is held.
func (s *Session) put(serial uint32, p *pending) error {
	p.branch = s.lineage.current
	ref := s.ref(s.at, p.branch, p.pos)
	if p.generate != nil {
		p.generate.Ref, p.generate.Serial = ref, serial
		return s.at.outbox.Put(p.generate)
	}
	if p.lead != nil {
		p.lead.Ref, p.lead.Serial = ref, serial
		p.heard = p.pos + 1
		return s.at.outbox.Put(p.lead)
	}
	m := wire.NewAsk(ref, serial, uint32(p.topK), p.mask)
	if p.rows > 1 {
		m.Rows = uint32(p.rows)
		s.largest = max(s.largest, p.rows*s.bodyBytes(p.topK))
	}
	if !p.deadline.IsZero() {
		m.Deadline = uint64(max(time.Until(p.deadline).Microseconds(), 1))
	}
	return s.at.outbox.Put(m)
}

// repeatAsks puts what waits again, on the current branch; mu is held.
func (s *Session) repeatAsks() {
	if s.at == nil {
		return
	}
	for _, serial := range slices.Sorted(maps.Keys(s.waiting)) {
		s.put(serial, s.waiting[serial]) // it could be encoded before
	}
}

func (s *Session) abandon(serial uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(serial)
}

// settle notes that an ask or a generation waits no longer; mu is held.
func (s *Session) settle(serial uint32) {
	delete(s.waiting, serial)
	if s.at != nil {
		s.at.conn.Settled()
	}
}

// deliver hands a result to whoever waits for it; nobody does when it belongs
// to an older branch. An error is a breach of the protocol.
func (s *Session) deliver(a *Attachment, ref wire.Ref, serial uint32, r askResult) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.waiting[serial]
	if !ok || s.at != a || p.branch != ref.Branch {
		return nil
	}
	if p.pos != int(ref.Position) {
		if r.err != nil {
			return nil
		}
		return linkerr.Breach("an answer at %d to an ask at %d", ref.Position, p.pos)
	}
	if err := s.answers(p, r); err != nil {
		return err
	}
	if r.err == nil { // as good as a receipt
		s.repeats = 0
		s.received(p.branch, p.pos+1)
		s.computed = max(s.computed, p.pos+1)
		a.answered(p, r)
	}
	s.gotOn(0)
	if p.lead != nil {
		return s.led(serial, p, r)
	}
	if p.generate != nil {
		s.generated(serial, p, r)
		return nil
	}
	if r.answer != nil {
		s.lineage.receipt(ref.Branch, p.pos+1) // it says as much, and comes first
		s.stats.BytesDown += uint64(4 * (len(r.answer.IDs) + len(r.answer.Logits)))
		s.stats.Waited += time.Duration(r.answer.Queue) * time.Microsecond
		s.stats.Computed += time.Duration(r.answer.Compute) * time.Microsecond
	}
	s.settle(serial)
	p.result <- r
	s.stats.Answers++
	return nil
}

// answered notes what a result of p has cost the cloud: no more than it took.
func (a *Attachment) answered(p *pending, r askResult) {
	rows, compute := 1, uint64(0)
	if r.answer != nil {
		rows, compute = int(r.answer.Rows), r.answer.Compute
	} else if r.token != nil {
		compute = r.token.Compute
	} else if r.led != nil {
		compute = r.led.Compute
	}
	a.conn.Answered(rows, min(time.Duration(compute)*time.Microsecond, time.Since(p.asked)))
}

// fail ends every ask that waits; mu is held.
func (s *Session) fail(err error) {
	for serial, p := range s.waiting {
		s.settle(serial)
		p.result <- askResult{err: err}
	}
}

// newAnswers returns the rows of an answer; what they cost is told with each.
func newAnswers(m *wire.Answer) []Answer {
	out := make([]Answer, m.Len())
	for i := range out {
		ids, logits, sum := m.Row(i)
		a := Answer{
			LogSumExp: sum, Rows: int(m.Rows),
			Queue:   time.Duration(m.Queue) * time.Microsecond,
			Compute: time.Duration(m.Compute) * time.Microsecond,
		}
		if ids == nil {
			a.Row = logits
		} else {
			a.Candidates = make([]Candidate, len(ids))
			for k, id := range ids {
				a.Candidates[k] = Candidate{ID: id, Logit: logits[k]}
			}
		}
		out[i] = a
	}
	return out
}
