package cloudlink

import (
	"fmt"

	"skerry/cloudlink/wire"
)

// read owns the receiving half of the session stream.
func (s *Session) read(a *attachment) {
	r := wire.NewReader(a.stream, 0)
	for {
		m, err := r.Next()
		if err == nil {
			err = s.handle(a, m)
		} else {
			err = a.client.lost(err)
		}
		if err != nil {
			s.lose(a, err)
			return
		}
	}
}

// handle takes one message. An error ends the attachment.
func (s *Session) handle(a *attachment, m wire.Message) error {
	switch m := m.(type) {
	case *wire.Opened:
		return s.consent(a, m)
	case *wire.Answer:
		s.deliver(a, m.Ref, m.Serial, askResult{answer: m})
	case *wire.Token:
		s.deliver(a, m.Ref, m.Serial, askResult{token: m})
	case *wire.Error:
		err := remoteError(m)
		switch {
		case m.Fatal:
			s.refused(a, err)
			return err
		case m.Code == wire.CodeSendFrom:
			return s.sendFrom(a, m.Branch, int(m.Position))
		}
		s.deliver(a, m.Ref, m.Serial, askResult{
			err: fmt.Errorf("session %s: ask at %d: %w", s.opt.ID, m.Position, err),
		})
	}
	return nil
}

// consent takes the cloud's terms, once, and sees what it still has.
func (s *Session) consent(a *attachment, m *wire.Opened) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-a.opened:
		return nil
	default:
	}
	close(a.opened)
	if s.at != a {
		return nil
	}
	s.protocol = max(m.Protocol, 1)
	if granted := int(m.Context); s.limit == 0 || granted < s.limit {
		s.limit = granted
	}
	if !s.opt.Tokens && !s.opt.Exact && wire.Encodes(m.Encoding) {
		s.encoding = m.Encoding.Fit(s.opt.Width)
	}
	if a.first == 0 {
		return nil // a new session
	}
	have := s.lineage.opened(m.Branch, int(m.Position), a.first, a.since)
	if s.from > have && s.wants < 0 {
		return s.again(s.lineage.current, have)
	}
	return nil
}

// refused notes what a refusal says about the context.
func (s *Session) refused(a *attachment, err *RemoteError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == a && err.Code == wire.CodeSendFrom {
		s.lineage.confirmed = min(s.lineage.confirmed, err.Position)
	}
}
