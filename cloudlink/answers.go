package cloudlink

import (
	"context"
	"fmt"

	"skerry/cloudlink/wire"
)

// read owns the receiving half of the session stream.
func (s *Session) read() {
	r := wire.NewReader(s.stream, 0)
	for {
		m, err := r.Next()
		if err != nil {
			s.end(s.client.lost(err))
			return
		}
		switch m := m.(type) {
		case *wire.Opened:
			s.consent(m)
		case *wire.Answer:
			s.deliver(m.Ref, m.Serial, askResult{answer: m})
		case *wire.Error:
			err := remoteError(m)
			if m.Fatal {
				s.end(err)
				return
			}
			s.deliver(m.Ref, m.Serial, askResult{
				err: fmt.Errorf("session %s: ask at %d: %w", s.opt.ID, m.Position, err),
			})
		}
	}
}

// consent takes the cloud's terms, once.
func (s *Session) consent(m *wire.Opened) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.opened:
		return
	default:
	}
	if granted := int(m.Context); s.limit == 0 || granted < s.limit {
		s.limit = granted
	}
	s.cloud = int(m.Position)
	close(s.opened)
}

// onEnd calls f once the session has ended; stop works as that of
// context.AfterFunc.
func (s *Session) onEnd(f func()) (stop func() bool) {
	return context.AfterFunc(s.ctx, f)
}
