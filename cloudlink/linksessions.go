package cloudlink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"skerry/cloudlink/internal/backoff"
	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/session"
	"skerry/cloudlink/wire"
)

// reattachPause is how long a session that the cloud refused waits before it
// tries again; it doubles up to backoff.Last, and the cloud may ask for more.
const reattachPause = time.Second

// Encodings returns those a new session should offer, best first: cheaper ones
// as the budget is spent.
func (l *Link) Encodings() []wire.DType { return l.meter.Encodings() }

// OpenSession opens a durable session, connected or not: rows are recorded
// until there is a connection, and asks end with ErrLost. It offers Encodings
// where opt names none. The error wraps ErrBudget when opt.Exact costs too much
// for what is left of the month, or is ErrClosed.
func (l *Link) OpenSession(ctx context.Context, opt SessionOptions) (*Session, error) {
	if opt.Exact {
		if err := l.meter.Exact(); err != nil {
			return nil, fmt.Errorf("open session: %w", err)
		}
	}
	if opt.Encodings == nil && !opt.Exact {
		opt.Encodings = l.Encodings()
	}
	opt.Durable, opt.Newest = true, cmp.Or(opt.Newest, l.conf.Protocol)
	s, err := session.New(opt, l.judge)
	if err != nil {
		return nil, err
	}
	c, err := l.enter(s)
	if err != nil {
		return nil, err
	}
	if c != nil {
		c.Resume(ctx, s) // if it fails, follow tries again
	}
	go func() {
		defer l.wg.Done()
		l.follow(s)
	}()
	return s, nil
}

// enter makes s one of the link's sessions, whose follow Close then waits for,
// and returns the connection of the moment.
func (l *Link) enter(s *Session) (*Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, fmt.Errorf("open session: %w", linkerr.ErrClosed)
	}
	if before := l.sessions[s.ID()]; before != nil {
		select {
		case <-before.Done(): // its follow has yet to notice
		default:
			return nil, fmt.Errorf("session %s is open already", s.ID())
		}
	}
	l.sessions[s.ID()] = s
	l.wg.Add(1)
	return l.client, nil
}

// attach moves every session to c, in its first flight where c is fresh.
func (l *Link) attach(ctx context.Context, c *Client) error {
	l.mu.Lock()
	sessions := make([]*Session, 0, len(l.sessions))
	for _, s := range l.sessions {
		sessions = append(sessions, s)
	}
	l.mu.Unlock()
	for _, s := range sessions {
		if c.carries(s) || s.Err() != nil {
			continue
		}
		if err := c.Resume(ctx, s); err != nil && c.Err() != nil {
			return c.Err() // which says why
		}
	}
	return nil
}

// follow attaches a session again that the cloud has refused, or that came too
// late for the attach of its connection, until the session ends.
func (l *Link) follow(s *Session) {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.sessions[s.ID()] == s { // else it was opened anew meanwhile
			delete(l.sessions, s.ID())
		}
	}()
	for pause := reattachPause; ; {
		select {
		case <-s.Done():
			return
		case <-s.Detached():
		}
		l.mu.Lock()
		c, changed := l.client, l.changed
		l.mu.Unlock()
		var again <-chan time.Time
		if c != nil && c.Err() == nil {
			again = time.After(max(pause, retryAfter(s.Lost())))
			pause = min(2*pause, backoff.Last)
		}
		select {
		case <-s.Done():
			return
		case <-changed:
			pause = reattachPause
		case <-again:
			if s.Lost() != nil && c.Err() == nil {
				c.Resume(l.ctx, s)
			}
		}
	}
}

// breachPause is how long a session leaves a cloud alone that broke the protocol, or
// did not answer it.
const breachPause = 30 * time.Second

// retryAfter returns how long the cloud that refused a session wants to be left
// alone, 0 when it did not say; and how long one is that broke the protocol.
func retryAfter(err error) time.Duration {
	var r *linkerr.RemoteError
	switch {
	case errors.As(err, &r):
		return r.RetryAfter
	case errors.As(err, new(*linkerr.ProtocolError)), errors.Is(err, linkerr.ErrUnanswered):
		return breachPause
	}
	return 0
}

// endSessions closes every session.
func (l *Link) endSessions() {
	l.mu.Lock()
	l.closed = true
	sessions := make([]*Session, 0, len(l.sessions))
	for _, s := range l.sessions {
		sessions = append(sessions, s)
	}
	l.mu.Unlock()
	for _, s := range sessions {
		s.Close()
	}
}
