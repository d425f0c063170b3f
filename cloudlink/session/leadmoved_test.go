package session

import (
	"context"
	"errors"
	"testing"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/wire"
)

// A session that goes to an older worker just as an answer is to be led does not ask it to: that
// one takes the question for a breach of the protocol.
func TestLeadAtAnOlderWorker(t *testing.T) {
	s, err := New(Options{Tokens: true, Context: 64, Durable: true, ID: wire.SessionID{1}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	attach := func() *Attachment {
		a := &Attachment{s: s, conn: alone{}, stream: muteStream{}, opened: make(chan struct{}), outbox: wire.NewOutbox(0)}
		a.ctx, a.cancel = context.WithCancel(s.ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.begin(a)
		return a
	}
	opened := func(a *Attachment, protocol uint32) {
		t.Helper()
		if err := s.consent(a, &wire.Opened{Ref: s.ref(a, a.first, 0), Context: 64, Encoding: wire.F32, Protocol: protocol}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AppendTokens(0, []int32{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	a := attach()
	opened(a, wire.ProtocolLead)
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.Lose(linkerr.ErrLost)
	b := attach()
	lead := &pending{pos: 2, from: 3, rows: 1, result: make(chan askResult, 8), lead: &wire.Lead{Max: 3, Window: leadWindow}}
	if _, err := s.expect(lead); !errors.Is(err, errMeanwhile) {
		t.Errorf("before it has said what it speaks: %v", err)
	}
	opened(b, wire.ProtocolLead-1)
	if _, err := s.expect(lead); !errors.Is(err, errMeanwhile) {
		t.Errorf("after it has said: %v", err)
	}
	if _, _, err := s.lead(t.Context(), LeadOptions{Max: 3}); !errors.Is(err, linkerr.ErrNoLead) {
		t.Errorf("got %v, want %v", err, linkerr.ErrNoLead)
	}
}
