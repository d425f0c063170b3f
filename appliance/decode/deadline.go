package decode

import "time"

// idleRows is how many backlog rows the last draft computes at a time while the
// loop waits for the cloud: few, so that the answer is not kept waiting.
const idleRows = 8

// deadline is when the next token has to be emitted, the zero time for whenever.
func (l *loop) deadline() time.Time {
	if l.opt.MaxTokenLatency == 0 {
		return time.Time{}
	}
	return l.clock.Add(l.opt.MaxTokenLatency)
}

// left is what remains of the next token's time.
func (l *loop) left() time.Duration { return time.Until(l.deadline()) }

// boundBacklog keeps the last draft's backlog so short that it can speak within half of a
// token's time. Of a token that needed neither it takes at most the other half, so that a
// long backlog is worked off over several.
func (l *loop) boundBacklog() error {
	d := l.lastDraft()
	if l.opt.MaxTokenLatency == 0 {
		return nil
	}
	half := l.opt.MaxTokenLatency / 2
	for rows := idleRows; d.backlog() > 0; {
		if need, known := l.draftCost(); known && need <= half {
			return nil
		}
		for ; rows > 1; rows /= 2 {
			if took, _, _ := d.backlogCost(rows); took <= l.left()-half {
				break
			}
		}
		if err := d.catchUp(rows); err != nil || l.left() <= half {
			return err
		}
	}
	return nil
}
