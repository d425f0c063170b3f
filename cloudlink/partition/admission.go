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

// predictWait predicts how long own rows of t, nil for a session to be opened, would
// wait for the work of others if asked for now. Fair queueing bounds what goes
// first: of every other flow no more rows than one's own. mu is held.
func (s *scheduler) predictWait(l *deviceFlow, t *tail, own int, now time.Time) time.Duration {
	own = max(own, 1)
	s.survey(now)
	devices := s.queue.Devices()
	device, others := own, 0
	for _, o := range devices {
		if o != &l.Device {
			continue
		}
		for _, sibling := range o.Sessions {
			if sibling != t {
				device += min(sibling.Want, own)
			}
		}
	}
	for _, o := range devices {
		if o != &l.Device {
			others += min(o.Want, device)
		}
	}
	wait := s.pace.Wait(others+device-own, own, s.room(now))
	wait += max(s.passEnds.Sub(now), 0) // of the pass that runs
	return max(wait, l.account.allowedAt(now).Sub(now))
}

// refuseAsk turns an ask away that would wait for others longer than it may, or than the
// server lets it; it returns nil for one to take. mu is held.
func (s *scheduler) refuseAsk(t *tail, a *ask, now time.Time) *wire.Error {
	limit := s.conf.MaxWait
	if !a.until.IsZero() {
		limit = min(limit, a.until.Sub(now))
	}
	wait := s.predictWait(t.device, t, a.pos()+1-t.queue.Base(), now)
	if wait <= limit {
		return nil
	}
	t.device.account.busy.Add(1)
	e := refusal(a.Ask, wire.CodeBusy, fmt.Sprintf("an ask waits %v here, this one may %v",
		wait.Round(time.Millisecond), limit.Round(time.Millisecond)))
	e.RetryAfter = milliseconds(wait - limit)
	return e
}

// refuseSession refuses a session whose asks would wait too long, or that its
// device has no more of. mu is held.
func (s *scheduler) refuseSession(l *deviceFlow, now time.Time) *wire.Error {
	if n := int64(l.account.quota.Sessions); l.account.sessions.Load() >= n {
		return &wire.Error{Code: wire.CodeBusy, RetryAfter: s.retryAfter(now), Text: fmt.Sprintf(
			"the device has %d sessions open, which is its quota", n)}
	}
	if wait := s.predictWait(l, nil, 1, now); wait > s.conf.MaxWait {
		return &wire.Error{Code: wire.CodeBusy, RetryAfter: milliseconds(wait - s.conf.MaxWait), Text: fmt.Sprintf(
			"asks wait %v here", wait.Round(time.Millisecond))}
	}
	return nil
}

// retryAfter is the RetryAfter, in ms, of a refusal for want of room: no sooner than
// the backlog of now is gone.
func (s *scheduler) retryAfter(now time.Time) uint64 {
	rows := 0
	for _, t := range s.tails {
		if !t.closed && !t.failed {
			rows += t.wants()
		}
	}
	return milliseconds(max(s.pace.Wait(rows, 1, s.room(now)), time.Second))
}

func milliseconds(d time.Duration) uint64 {
	return uint64(min(max(d, minRetry), maxRetry).Milliseconds())
}
