package session

import (
	"errors"
	"fmt"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/wire"
)

// read owns the receiving half of the session stream.
func (s *Session) read(a *Attachment) {
	r := wire.NewReader(a.stream, s.answerBytes())
	for {
		r.Wait() // an answer comes after its ask was put
		r.Limit(s.answerBytes())
		m, err := r.Next()
		switch {
		case err == nil:
			err = s.handle(a, m)
		case errors.Is(err, wire.ErrFrame):
			err = linkerr.AsBreach(err)
		default:
			err = a.conn.Lost(err)
		}
		if err != nil {
			a.conn.Breach(err)
			s.lose(a, err)
			return
		}
	}
}

// handle takes one message. An error ends the attachment.
func (s *Session) handle(a *Attachment, m wire.Message) error {
	switch m := m.(type) {
	case *wire.Opened:
		if err := s.place(a, "terms", m.Ref); err != nil {
			return err
		}
		return s.consent(a, m)
	case *wire.Answer:
		if err := s.place(a, "an answer", m.Ref); err != nil {
			return err
		}
		return s.deliver(a, m.Ref, m.Serial, askResult{answer: m})
	case *wire.Token:
		if err := s.place(a, "a token", m.Ref); err != nil {
			return err
		}
		return s.deliver(a, m.Ref, m.Serial, askResult{token: m})
	case *wire.Led:
		if err := s.place(a, "tokens", m.Ref); err != nil {
			return err
		}
		return s.deliver(a, m.Ref, m.Serial, askResult{led: m})
	case *wire.Error:
		err := linkerr.Remote(m)
		switch {
		case m.Fatal:
			s.refused(a, err)
			return err
		case m.Code == wire.CodeSendFrom:
			return s.sendFrom(a, m.Branch, int(m.Position))
		}
		return s.deliver(a, m.Ref, m.Serial, askResult{
			err: fmt.Errorf("session %s: ask at %d: %w", s.opt.ID, m.Position, err),
		})
	}
	return linkerr.Breach("a message of type %#x on the stream of a session", byte(m.Type()))
}

// consent takes the cloud's terms, once, and sees what it still has.
func (s *Session) consent(a *Attachment, m *wire.Opened) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-a.opened:
		return linkerr.Breach("the terms of a session twice")
	default:
	}
	if err := s.checkOpened(a, m); err != nil {
		return err
	}
	close(a.opened)
	if s.at != a {
		return nil
	}
	s.gotOn(0)
	if s.protocol = max(m.Protocol, 1); !s.severalRows() {
		s.endRows()
	}
	if granted := int(m.Context); s.limit == 0 || granted < s.limit {
		s.limit = granted
	}
	if !s.opt.Tokens && !s.opt.Exact {
		s.encoding = m.Encoding.Fit(s.opt.Width)
	}
	if a.first == 0 {
		return nil // a new session
	}
	have := s.lineage.opened(m.Branch, int(m.Position), a.first, a.since)
	if s.from <= have || s.wants >= 0 {
		return nil
	}
	if err := s.countRepeat(have); err != nil {
		return err
	}
	// The uplink of the branch of now begins too high. It is reset and may never arrive, so
	// that the next one must not rely on it: the cloud would drop what it has.
	s.again(have)
	return nil
}

// refused notes what a refusal says about the context.
func (s *Session) refused(a *Attachment, err *linkerr.RemoteError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == a && err.Code == wire.CodeSendFrom {
		s.lineage.confirmed = min(s.lineage.confirmed, err.Position)
	}
}
