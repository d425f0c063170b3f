package session

import (
	"context"
	"errors"
	"testing"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/wire"
)

// However a lead ends, what the cloud goes on to say by itself is of
// a branch that is left: tokens that are appended in its place are never taken for it.
func TestWhatIsSaidOnIsLeft(t *testing.T) {
	for name, end := range map[string]func(s *Session, a *Attachment){
		"its connection is lost":              func(_ *Session, a *Attachment) { a.Lose(linkerr.ErrLost) },
		"it goes to another connection":       func(s *Session, _ *Attachment) { Release(s) },
		"nothing came back, and it may still": func(_ *Session, a *Attachment) { a.FailAsks(linkerr.ErrLost) },
		"it is given up":                      func(s *Session, _ *Attachment) { s.halt(1, 5) },
	} {
		s, err := New(Options{Tokens: true, Context: 64, Durable: true, ID: wire.SessionID{1}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		a := attachedAgain(s)
		if err := s.consent(a, &wire.Opened{Ref: s.ref(a, a.first, 0), Context: 64, Encoding: wire.F32, Protocol: wire.ProtocolLead}); err != nil {
			t.Fatal(err)
		}
		if err := s.AppendTokens(0, []int32{1, 2, 3}); err != nil {
			t.Fatal(err)
		}
		p := &pending{pos: 2, from: 3, rows: 1, result: make(chan askResult, 8), lead: &wire.Lead{Max: 9, Window: leadWindow}}
		serial, err := s.expect(p)
		if err != nil {
			t.Fatal(err)
		}
		said := &wire.Led{Ref: s.ref(a, 0, 2), Serial: serial, IDs: []int32{4, 5}, Confidence: make([]float32, 2), Margin: make([]float32, 2), Logprob: make([]float32, 2)}
		if err := s.deliver(a, said.Ref, serial, askResult{led: said}); err != nil {
			t.Fatal(err)
		}
		end(s, a)
		if <-p.result; name != "it is given up" {
			if r := <-p.result; !errors.Is(r.err, linkerr.ErrLost) {
				t.Errorf("%s: %v", name, r.err)
			}
		}
		if err := s.AppendTokens(5, []int32{6, 7, 8}); err != nil {
			t.Fatal(err)
		}
		if a.Ended() {
			attachedAgain(s)
		}
		if s.lineage.current == 0 || s.keep > 5 || s.lineage.confirmed > 5 {
			t.Errorf("%s: branch %d lets %d positions stand, and %d count as confirmed", name, s.lineage.current, s.keep, s.lineage.confirmed)
		}
		s.Close()
	}
}

// attachedAgain puts a session on a connection that says nothing.
func attachedAgain(s *Session) *Attachment {
	a := &Attachment{s: s, conn: alone{}, stream: muteStream{}, opened: make(chan struct{}), outbox: wire.NewOutbox(0)}
	a.ctx, a.cancel = context.WithCancel(s.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin(a)
	return a
}
