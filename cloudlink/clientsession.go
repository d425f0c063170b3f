package cloudlink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/session"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
)

// A session is described by package session; these are what others need of it.
type (
	// Session is one sequence in the cloud's tail stage. Append, Ask, Truncate and
	// Close may be called concurrently.
	Session = session.Session
	// SessionOptions describe a session. Bundle and Width are needed; Width is ignored
	// with Tokens.
	SessionOptions = session.Options
	// SessionStats count what a session sent.
	SessionStats = session.Stats
	// Answer is the cloud's word on one position.
	Answer = session.Answer
	// LeadOptions, LedToken and LedChecks are of Session.Lead.
	LeadOptions = session.LeadOptions
	LedToken    = session.LedToken
	LedChecks   = session.LedChecks
	// Candidate is a token the cloud thinks likely.
	Candidate = session.Candidate
)

// OpenSession opens a session without waiting for the cloud's consent: hidden
// states and asks may follow at once. A refusal comes out of Session.Ready and
// of every later call. The error is of the connection.
func (c *Client) OpenSession(ctx context.Context, opt SessionOptions) (*Session, error) {
	opt.Newest = cmp.Or(opt.Newest, c.conf.Protocol)
	s, err := session.New(opt, nil)
	if err != nil {
		return nil, err
	}
	if err := c.attach(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

// Resume attaches a durable session, whose connection has ended, to c. It does
// not wait for the cloud: Open and the rows no receipt has confirmed go into
// the first flight, and asks may follow at once. Where the cloud has lost rows
// it had, they are sent again unnoticed. A session still attached elsewhere is
// detached first. The error is of the connection, or ErrClosed.
func (c *Client) Resume(ctx context.Context, s *Session) error {
	if err := session.Release(s); err != nil {
		return err
	}
	return c.attach(ctx, s)
}

// attach opens a stream for s and attaches it.
func (c *Client) attach(ctx context.Context, s *Session) error {
	if err := c.conf.allows(s.Tokens()); err != nil {
		return fmt.Errorf("open session: %w", linkerr.At(c.conf.Addr, err))
	}
	stream, err := c.conn.OpenStream(ctx, transport.UrgencyAsk)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("open session: %w", linkerr.At(c.conf.Addr, err))
		}
		return fmt.Errorf("open session: %w", linkerr.Lost(c.conf.Addr, err))
	}
	return session.Attach(s, sessionSide{c}, stream)
}

// ErrMayNot is returned before anything is sent that this board was enrolled
// not to send.
var ErrMayNot = errors.New("the cloud may not see this")

// allows checks what a session would send against what the cloud may see.
func (c Config) allows(tokens bool) error {
	switch {
	case c.Disclosure == trust.Nothing:
		return fmt.Errorf("%w: this board was enrolled to send nothing (enroll it again with --may hidden or text)", ErrMayNot)
	case tokens && c.Disclosure == trust.Hidden:
		return fmt.Errorf("%w: this board was enrolled to send hidden states but no tokens (enroll it again with --may text)", ErrMayNot)
	}
	return nil
}

// attached returns the sessions of now.
func (c *Client) attached() []*session.Attachment {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.sessions))
}

// carries reports whether s is attached to c.
func (c *Client) carries(s *Session) bool {
	c.mu.Lock()
	a := c.sessions[s.ID()]
	c.mu.Unlock()
	return a != nil && a.Session() == s && !a.Ended()
}

// owed returns how many asks wait for an answer, and whether rows wait for a
// receipt or a fetch for its next piece.
func (c *Client) owed() (asks int, rows bool) {
	rows = c.fetching.Load() > 0
	for _, a := range c.attached() {
		n, unconfirmed := a.Owed()
		asks += n
		rows = rows || unconfirmed
	}
	return asks, rows
}

// failAsks ends what waits on c with err; the sessions stay.
func (c *Client) failAsks(err error) {
	for _, a := range c.attached() {
		a.FailAsks(err)
	}
}

// receipt hands a receipt to its session, and ends that where it is a breach.
func (c *Client) receipt(m *wire.Receipt) error {
	if m.Epoch != c.conf.Epoch {
		return linkerr.At(c.conf.Addr, linkerr.Breach("a receipt of epoch %d on a connection of epoch %d", m.Epoch, c.conf.Epoch))
	}
	c.mu.Lock()
	a := c.sessions[m.Session]
	c.mu.Unlock()
	if a == nil {
		return nil // closed meanwhile
	}
	if err := a.Receipt(m); err != nil {
		c.noteBreach(err)
		a.Lose(err)
	}
	return nil
}

// sessionSide is a client as its sessions see it, a session.Connection.
type sessionSide struct{ *Client }

func (c sessionSide) OpenUniStream(ctx context.Context, u transport.Urgency) (transport.SendStream, error) {
	return c.conn.OpenUniStream(ctx, u)
}

func (c sessionSide) Register(a *session.Attachment, goroutines ...func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if _, taken := c.sessions[a.ID()]; taken {
		return fmt.Errorf("session %s is open already", a.ID())
	}
	c.sessions[a.ID()] = a
	for _, f := range goroutines {
		c.wg.Go(f)
	}
	return nil
}

func (c sessionSide) Forget(a *session.Attachment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions[a.ID()] == a {
		delete(c.sessions, a.ID())
	}
	c.settled.Announce()
}

func (c sessionSide) Lost(err error) error { return c.lost(err) }
func (c sessionSide) Breach(err error)     { c.noteBreach(err) }
func (c sessionSide) Settled()             { c.settled.Announce() }

func (c sessionSide) Answered(rows int, took time.Duration) {
	c.heard.Store(time.Now().UnixNano())
	if c.conf.hooks.answered != nil {
		c.conf.hooks.answered(rows, took)
	}
}
