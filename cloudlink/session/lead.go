package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/wire"
)

// LeadOptions are what the cloud has to know to go on with an answer by itself.
type LeadOptions struct {
	Max       int    // tokens wanted, at least 1
	Begin     int    // position of the answer's first token
	IgnoreEnd bool   // go on past the tokens that end an answer
	Draft     string // what may be drafted, "" for whatever the cloud has
	Sampler   []byte // the settings, a JSON object
}

// LedToken is a token that the cloud said by itself.
type LedToken struct {
	ID                          int32
	Confidence, Margin, Logprob float64
}

// LedChecks are the passes that decided tokens, and what was drafted for them.
type LedChecks struct{ Checks, Drafted, Accepted int }

// leadWindow is how many tokens may be on their way that Lead has not yielded yet.
const leadWindow = 64

// Lead lets the cloud go on with an answer by itself from the last row of the session, which
// was opened with Tokens: it drafts, checks and samples. Tokens are yielded as they come, several at
// once, and are part of the session. It ends with nil after the last, or once yield returns
// false, and then without those. The cloud stops within one pass once Lead has ended, and what was
// not yielded is no part of the session.
//
// It returns ErrNoLead where the cloud does not lead, or not this answer, and else the errors of
// Generate.
func (s *Session) Lead(ctx context.Context, o LeadOptions, yield func([]LedToken, LedChecks) bool) error {
	err := s.leadTo(ctx, o, yield)
	if !errors.Is(err, linkerr.ErrNoLead) {
		s.judgeRefusal(err)
	}
	return err
}

func (s *Session) leadTo(ctx context.Context, o LeadOptions, yield func([]LedToken, LedChecks) bool) error {
	p, serial, err := s.lead(ctx, o)
	if err != nil {
		return err
	}
	end := p.from // one past the last token that was yielded
	for {
		select {
		case r := <-p.result:
			if r.err != nil {
				return r.err
			}
			tokens, checks := ledTokens(r.led)
			if len(tokens) > 0 && !yield(tokens, checks) {
				s.halt(serial, end)
				return nil
			}
			end += len(tokens)
			switch r.led.Stop {
			case wire.StopNot:
				s.taken(serial, p, end)
			case wire.StopContext:
				return fmt.Errorf("session %s: %w", s.opt.ID, linkerr.ErrContextFull)
			default:
				return nil
			}
		case <-ctx.Done():
			s.halt(serial, end)
			return fmt.Errorf("session %s: lead: %w", s.opt.ID, ctx.Err())
		}
	}
}

// lead puts the request, once it is known that the cloud leads.
func (s *Session) lead(ctx context.Context, o LeadOptions) (*pending, uint32, error) {
	if !s.opt.Tokens {
		return nil, 0, fmt.Errorf("session %s: %w: it was not opened for token ids", s.opt.ID, linkerr.ErrNoLead)
	}
	for {
		p, serial, err := s.leadNow(ctx, o)
		if !errors.Is(err, errMeanwhile) {
			return p, serial, err
		}
	}
}

// errMeanwhile says that a session has gone to another worker, perhaps an older one, while an
// answer was about to be asked for.
var errMeanwhile = errors.New("another cloud has the session, and has not said yet what it speaks")

// leads reports whether the cloud is known to lead; mu is held, and the session is attached.
func (s *Session) leads() bool {
	select {
	case <-s.at.opened:
		return s.protocol >= wire.ProtocolLead
	default:
		return false
	}
}

// leadNow puts the request to the cloud of the moment. The error wraps errMeanwhile where that is
// another one by then.
func (s *Session) leadNow(ctx context.Context, o LeadOptions) (*pending, uint32, error) {
	if err := s.Ready(ctx); err != nil { // an older cloud takes the question for a breach
		return nil, 0, err
	}
	s.mu.Lock()
	end, limit, protocol := s.rows.end(), s.limit, s.protocol
	s.mu.Unlock()
	switch {
	case protocol < wire.ProtocolLead:
		return nil, 0, fmt.Errorf("session %s: %w: it speaks protocol %d, update it", s.opt.ID, linkerr.ErrNoLead, protocol)
	case o.Max < 1 || o.Begin < 0 || o.Begin > end:
		return nil, 0, fmt.Errorf("session %s: lead for %d tokens of an answer at %d, at %d", s.opt.ID, o.Max, o.Begin, end)
	}
	// Whoever sends the request again begins a window anew, before what has come is yielded: there is
	// room for all of it.
	most := min(o.Max, maxGenerate, max(limit, 1))
	p := &pending{
		pos: end - 1, from: end, rows: 1, result: make(chan askResult, most+2),
		lead: &wire.Lead{Max: uint32(most), Begin: uint64(o.Begin), Window: leadWindow, IgnoreEnd: o.IgnoreEnd, Draft: o.Draft, Sampler: o.Sampler},
	}
	serial, err := s.expect(p)
	return p, serial, err
}

// led takes tokens of a Lead; mu is held. The cloud has all but the last of them, and that one
// before it says more. An error is a breach of the protocol.
func (s *Session) led(serial uint32, p *pending, r askResult) error {
	if r.err != nil {
		s.settle(serial)
		s.next = min(s.next, max(p.pos, s.from, 0)) // it may not have the last one
		s.wake.Broadcast()
		p.result <- r
		return nil
	}
	m, n := r.led, len(r.led.IDs)
	if n > int(p.lead.Max) || p.pos+1+n-p.heard > int(p.lead.Window) {
		return linkerr.Breach("%d tokens at %d: %d may still come, %d at once, and those below %d were taken", n, p.pos, p.lead.Max, p.lead.Window, p.heard)
	}
	if s.rows.end() != p.pos+1 { // Append went beyond the cloud
		s.settle(serial)
		p.result <- askResult{err: fmt.Errorf("session %s: positions were appended beyond what the cloud leads, to %d", s.opt.ID, s.rows.end())}
		return nil
	}
	for _, id := range m.IDs {
		s.rows.append(p.pos+1, []float32{float32(id)}, false)
		p.pos++
	}
	if s.next == p.pos+1-n {
		s.next += n
	}
	if m.Stop != wire.StopNot {
		s.next = min(s.next, max(p.pos, s.from, 0)) // it appends the last one no more
	}
	s.received(p.branch, p.pos)
	s.computed = max(s.computed, p.pos)
	s.wake.Broadcast()
	p.lead.Max -= uint32(n)
	s.stats.BytesDown += uint64(16 * n)
	s.stats.Waited += time.Duration(m.Queue) * time.Microsecond
	s.stats.Computed += time.Duration(m.Compute) * time.Microsecond
	if m.Stop != wire.StopNot {
		s.settle(serial)
		s.stats.Answers++
	}
	p.result <- r
	return nil
}

// taken tells the cloud now and then how far the tokens were taken, which lets it go on.
func (s *Session) taken(serial uint32, p *pending, end int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[serial] != p || s.at == nil || end-p.heard < int(p.lead.Window)/4 {
		return
	}
	p.heard = end
	s.at.outbox.Put(&wire.Taken{Ref: s.ref(s.at, p.branch, end), Serial: serial})
}

// ledTokens are the tokens of a message.
func ledTokens(m *wire.Led) ([]LedToken, LedChecks) {
	out := make([]LedToken, len(m.IDs))
	for i, id := range m.IDs {
		out[i] = LedToken{id, float64(m.Confidence[i]), float64(m.Margin[i]), float64(m.Logprob[i])}
	}
	return out, LedChecks{int(m.Checks), int(m.Drafted), int(m.Accepted)}
}

// checkLed refuses tokens of another vocabulary.
func (s *Session) checkLed(m *wire.Led) error {
	for _, id := range m.IDs {
		if int(id) >= s.vocabulary() {
			return linkerr.Breach("token %d of a vocabulary of %d", id, s.vocabulary())
		}
	}
	return nil
}

// windowFull reports whether the cloud waits for the board, and not the other way round.
func (p *pending) windowFull() bool {
	return p.lead != nil && p.pos+1-p.heard >= int(p.lead.Window)
}

// given is one past the last row that the cloud is to confirm: what it said last it has not
// appended yet; mu is held.
func (s *Session) given() int {
	for _, p := range s.waiting {
		if p.lead != nil && p.pos >= p.from {
			return s.rows.end() - 1
		}
	}
	return s.rows.end()
}
