package partition

import (
	"fmt"
	"time"

	"skerry/cloudlink/wire"
)

// A refusal says to come back within these.
const (
	minRetry = 20 * time.Millisecond
	maxRetry = time.Minute
)

// queue predicts how long own rows of t, nil for a session to be opened, would
// wait for the work of others if asked for now. Fair queueing bounds what goes
// first: of every other flow no more rows than one's own. mu is held.
func (s *scheduler) queue(l *lane, t *tail, own int, now time.Time) time.Duration {
	own = max(own, 1)
	lanes, _ := s.survey(now)
	device, others := own, 0
	for _, o := range lanes {
		if o != l {
			continue
		}
		for _, sibling := range o.tails {
			if sibling != t {
				device += min(sibling.want, own)
			}
		}
	}
	for _, o := range lanes {
		if o != l {
			others += min(o.want, device)
		}
	}
	wait := s.pace.wait(others+device-own, own, s.room(now))
	wait += max(s.until.Sub(now), 0) // of the pass that runs
	return max(wait, l.account.allowedAt(now).Sub(now))
}

// refuse turns an ask away that would wait longer for others than it may or
// the server lets it, nil for one to take. mu is held.
func (s *scheduler) refuse(t *tail, a *ask, now time.Time) *wire.Error {
	limit := s.conf.MaxWait
	if !a.until.IsZero() {
		limit = min(limit, a.until.Sub(now))
	}
	wait := s.queue(t.lane, t, a.pos()+1-t.queue.Base(), now)
	if wait <= limit {
		return nil
	}
	t.lane.account.busy.Add(1)
	e := refusal(a.Ask, wire.CodeBusy, fmt.Sprintf("an ask waits %v here, this one may %v",
		wait.Round(time.Millisecond), limit.Round(time.Millisecond)))
	e.RetryAfter = retryAfter(wait - limit)
	return e
}

// saturated refuses a session whose asks would wait too long, or that its
// device has no more of. mu is held.
func (s *scheduler) saturated(l *lane, now time.Time) *wire.Error {
	if n := int64(l.account.quota.Sessions); l.account.sessions.Load() >= n {
		return &wire.Error{Code: wire.CodeBusy, RetryAfter: s.retry(now), Text: fmt.Sprintf(
			"the device has %d sessions open, which is its quota", n)}
	}
	if wait := s.queue(l, nil, 1, now); wait > s.conf.MaxWait {
		return &wire.Error{Code: wire.CodeBusy, RetryAfter: retryAfter(wait - s.conf.MaxWait), Text: fmt.Sprintf(
			"asks wait %v here", wait.Round(time.Millisecond))}
	}
	return nil
}

// retry is the RetryAfter, in ms, of a refusal for want of room: no sooner than
// the backlog of now is gone.
func (s *scheduler) retry(now time.Time) uint64 {
	rows := 0
	for _, t := range s.tails {
		if !t.closed && !t.failed {
			rows += t.wants()
		}
	}
	return retryAfter(max(s.pace.wait(rows, 1, s.room(now)), time.Second))
}

func retryAfter(d time.Duration) uint64 {
	return uint64(min(max(d, minRetry), maxRetry).Milliseconds())
}
