package decode

import (
	"fmt"
	"time"

	"skerry/appliance/infer"
	"skerry/cloudlink/monitor"
)

// markLost notes that the link is lost at present.
func (l *loop) markLost(err error) {
	l.disconnected = true
	if l.result.Lost == nil {
		l.result.Lost = err
	}
}

// markBack notes that the cloud has answered.
func (l *loop) markBack() {
	if l.disconnected {
		l.disconnected = false
		l.result.Resumed++
	}
}

// classify takes in why an ask was not answered.
func (l *loop) classify(err error) infer.Reason {
	rest := busyFor(err)
	switch {
	case !isTransient(err):
		l.giveUpCloud(err)
		return infer.WhyLost
	case rest > 0:
		l.busyUntil = time.Now().Add(rest)
		return infer.WhyBusy
	case l.disconnected:
		return infer.WhyDown
	}
	l.markLost(err)
	return infer.WhyLost
}

// cloudUnavailable returns why the cloud is not to be asked for the next token, whatever that
// token is.
func (l *loop) cloudUnavailable() infer.Reason {
	switch {
	case l.cloudErr != nil:
		return infer.WhyLost
	case len(l.late.outstanding) >= maxOutstanding:
		return infer.WhyOwed
	case l.opt.OnLoss != infer.GoAlone || l.standIn() == nobody:
		return infer.Asked
	}
	if l.estimator != nil {
		l.updateMode()
		if l.leader.Mode() == Standalone {
			return l.why
		}
		if state, reason := l.estimator.State(); state == monitor.Down && l.standIn() == wholeStandsIn { // which is worth no ask that fails
			l.markLost(fmt.Errorf("%w: %s", ErrLinkDown, reason))
			return infer.WhyDown
		}
	}
	if c, ok := l.cloud.(interface{ Reachable() bool }); ok && l.disconnected && !c.Reachable() {
		return infer.WhyDown // an ask in a first flight would wait until that is seen to go nowhere
	}
	if time.Now().Before(l.busyUntil) {
		return infer.WhyBusy
	}
	return infer.Asked
}

// downHold is how long the link has to be down before the board leads: an ask then
// fails at once, so that a short cut costs nothing but its own time.
const downHold = switchDwell

// updateMode has the board lead while the link stays down, or is poor and too slow for
// the bound, and the cloud be asked again once it is better.
func (l *loop) updateMode() {
	state, reason := l.estimator.State()
	now := time.Now()
	if state != monitor.Down {
		l.downSince = time.Time{}
	} else if l.downSince.IsZero() {
		l.downSince = now
		if since, ok := l.estimator.(interface{ DownSince() time.Time }); ok && !since.DownSince().IsZero() {
			l.downSince = since.DownSince()
		}
	}
	to, why := Collaborative, infer.Asked
	switch {
	case state == monitor.Down:
		if now.Sub(l.downSince) < downHold {
			return
		}
		to, why = Standalone, infer.WhyDown
		l.markLost(fmt.Errorf("%w: %s", ErrLinkDown, reason))
	case state == monitor.Poor && l.opt.MaxTokenLatency > 0:
		cost, known := l.estimator.Predict(len(l.tokens) - 1)
		if !known {
			return
		}
		if cost > l.opt.MaxTokenLatency {
			to, why = Standalone, infer.WhyPoor
			reason = fmt.Sprintf("%s, an ask takes %s of at most %s", reason, cost.Round(time.Millisecond), l.opt.MaxTokenLatency)
		}
	}
	if !l.leader.Request(now, to) {
		return
	}
	l.why = why
	if l.standIn() != wholeStandsIn { // whose change is marked where it begins to be sampled, and where that ends
		if to == Collaborative {
			to = l.mode.Name
		}
		l.markChange(to, fmt.Sprintf("link %s: %s", state, reason))
	}
}
