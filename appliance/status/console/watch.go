package console

import (
	"context"
	"errors"
	"time"

	"skerry/appliance/status"
)

// How often the daemon is looked at, and how long it may take to answer and to do
// as it is told.
const (
	watchEvery = 5 * time.Second
	answerTime = 3 * time.Second
	orderTime  = 15 * time.Second
)

func (c *Console) status() (status.Status, error) {
	ctx, cancel := context.WithTimeout(c.ctx, answerTime)
	defer cancel()
	return c.Daemon.Status(ctx)
}

// remedied is an error that says what to do about it.
type remedied interface {
	error
	Do() string
}

// away says that the daemon is not to be had, and what to do.
func away(err error) string {
	text := status.OneLine(err)
	if says := remedied(nil); !errors.As(err, &says) {
		text += " (if it does not run: `systemctl start skerry`)"
	}
	return "No answer: " + text + "; a message here says when it is back.\n"
}

// watch sends a notice when the daemon goes, comes back or has started anew, and of
// problems that are new. It begins with what the banner has said.
func (c *Console) watch(last status.Status, lost error) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		st, err := c.status()
		if c.ctx.Err() != nil {
			return
		}
		for _, n := range notes(last, st, lost, err) {
			select {
			case c.notices <- n:
			default: // nobody reads them: the line is stuck, or shows a live view
			}
		}
		if lost = err; err == nil {
			last = st
		}
	}
}

// notes are what to say of a look at the daemon after another.
func notes(last, now status.Status, lostBefore, lost error) (notes []string) {
	switch {
	case lost != nil && lostBefore == nil:
		return []string{away(lost)}
	case lost != nil:
		return nil
	case lostBefore != nil:
		notes = append(notes, "The daemon is back: "+stateLine(now)+".\n")
	case !now.Started.Equal(last.Started):
		notes = append(notes, "The daemon has restarted: "+stateLine(now)+".\n")
	case now.State != last.State:
		notes = append(notes, "The daemon is "+stateLine(now)+".\n")
	}
	seen := map[string]bool{}
	for _, p := range last.Health {
		seen[p.Code] = true
	}
	for _, p := range now.Health {
		if !seen[p.Code] {
			notes = append(notes, problemText(p))
		}
	}
	return notes
}
