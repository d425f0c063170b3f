package decode

import (
	"fmt"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/monitor"
)

// leave notes that the link is lost at present.
func (l *loop) leave(err error) {
	l.away = true
	if l.answer.Lost == nil {
		l.answer.Lost = err
	}
}

// back notes that the cloud has answered.
func (l *loop) back() {
	if l.away {
		l.away = false
		l.answer.Resumed++
	}
}

// missed takes in why an ask was not answered.
func (l *loop) missed(err error) Reason {
	rest := busy(err)
	switch {
	case !passing(err):
		l.lose(err)
		return Lost
	case rest > 0:
		l.shun = time.Now().Add(rest)
		return Busy
	case l.away:
		return Down
	}
	l.leave(err)
	return Lost
}

// closed says why the cloud is not to be asked for the next token, whatever that
// token is.
func (l *loop) closed() Reason {
	switch {
	case l.lost != nil:
		return Lost
	case len(l.late.owed) >= maxOwed:
		return Owed
	case l.opt.OnLoss != GoAlone:
		return Asked
	}
	if l.outlook != nil {
		l.turn()
		if l.lead.Mode() == Standalone {
			return l.why
		}
	}
	if time.Now().Before(l.shun) {
		return Busy
	}
	return Asked
}

// downHold is how long the link has to be down before the board leads: an ask then
// fails at once, so that a short cut costs nothing but its own time.
const downHold = switchDwell

// turn has the board lead while the link stays down, or is poor and too slow for
// the bound, and the cloud be asked again once it is better.
func (l *loop) turn() {
	state, reason := l.outlook.State()
	now := time.Now()
	if state != monitor.Down {
		l.downSince = time.Time{}
	} else if l.downSince.IsZero() {
		l.downSince = now
		if since, ok := l.outlook.(interface{ DownSince() time.Time }); ok && !since.DownSince().IsZero() {
			l.downSince = since.DownSince()
		}
	}
	to, why := Collaborative, Asked
	switch {
	case state == monitor.Down:
		if now.Sub(l.downSince) < downHold {
			return
		}
		to, why = Standalone, Down
		l.leave(fmt.Errorf("%w: %s", cloudlink.ErrLost, reason))
	case state == monitor.Poor && l.opt.MaxTokenLatency > 0:
		cost, known := l.outlook.Predict(len(l.tokens) - 1)
		if !known {
			return
		}
		if cost > l.opt.MaxTokenLatency {
			to, why = Standalone, Poor
			reason = fmt.Sprintf("%s, an ask takes %s of at most %s", reason, cost.Round(time.Millisecond), l.opt.MaxTokenLatency)
		}
	}
	if !l.lead.Turn(now, to) {
		return
	}
	l.why = why
	l.change = &Change{At: len(l.tokens), To: to, Reason: fmt.Sprintf("link %s: %s", state, reason)}
	l.answer.Changes = append(l.answer.Changes, *l.change)
}
