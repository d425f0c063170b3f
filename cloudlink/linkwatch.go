package cloudlink

import (
	"context"
	"fmt"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/internal/liveness"
)

// watch probes c while something is owed, and tells dead, which may end c, when
// nothing comes back or what is waited for does not get on.
func (l *Link) watch(ctx context.Context, c *Client, dead func(error)) {
	var v liveness.Silence
	var p liveness.Path
	tick := time.NewTicker(liveness.Tick)
	defer tick.Stop()
	for idle := true; ; {
		asks, rows := c.owed()
		if asks == 0 && !rows {
			idle = true
			tick.Stop()
		} else if idle {
			idle, p = false, liveness.Path{}
			v.Begin(time.Now(), c.Stats())
			tick.Reset(liveness.Tick)
		} else {
			now := time.Now()
			if late := v.Late(now); late > 0 {
				for _, a := range c.attached() {
					a.Forgive(late)
				}
			}
			switch v.Step(now, c.Stats(), asks > 0) {
			case liveness.Probe:
				c.ping()
			case liveness.Lost:
				dead(linkerr.Lost(c.conf.Addr, fmt.Errorf("nothing came back for %v", time.Since(v.Since).Round(time.Millisecond))))
				v.Begin(now, c.Stats())
			}
			if err := l.stuck(c, &p, now); err != nil {
				dead(err)
			}
		}
		if !idle {
			select {
			case <-ctx.Done():
				return
			case <-c.Done():
				return
			case <-tick.C:
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-c.Done():
			return
		case <-l.owing:
		}
	}
}

// unanswered counts a wait that was given up.
func (l *Link) unanswered() {
	l.update(func(st *LinkStatus) { st.Unanswered, st.UnansweredAt = st.Unanswered+1, l.conf.Clock() })
}

// stuck returns why c is to be given up although it is alive, nil while it is not.
// It may end a single session instead, where the cloud answers others.
func (l *Link) stuck(c *Client, p *liveness.Path, now time.Time) error {
	st := c.Stats()
	attached := c.attached()
	var since time.Time // the oldest wait for a receipt began
	for _, a := range attached {
		if at := a.Unconfirmed(); !at.IsZero() && (since.IsZero() || at.Before(since)) {
			since = at
		}
	}
	p.Step(since, st)
	swallowed := linkerr.Lost(c.conf.Addr, linkerr.ErrPath)
	if p.Swallows(now, st) {
		l.small.Store(true)
		return swallowed
	}
	for _, a := range attached {
		waited := a.Overdue(now, l.waits.Limit, func(bytes int) time.Duration { return liveness.Carrying(bytes, st) })
		switch {
		case waited == 0:
			continue
		case p.Loses(st):
			l.small.Store(true)
			return swallowed
		}
		l.unanswered()
		err := linkerr.Lost(c.conf.Addr, fmt.Errorf("%w: nothing for %v", linkerr.ErrUnanswered, waited.Round(100*time.Millisecond)))
		if now.Sub(time.Unix(0, c.heard.Load())) >= waited {
			return err
		}
		l.log.Warn("the cloud answers other sessions, but not this one", "cloud", c.conf.Addr, "session", a.ID(), "err", err)
		a.Lose(err)
	}
	return nil
}
