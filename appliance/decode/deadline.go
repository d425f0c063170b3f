package decode

import "time"

// idleRows is how many backlog rows the mid stage computes at a time while the
// loop waits for the cloud: few, so that the answer is not kept waiting.
const idleRows = 8

// deadline is when the next token has to be said, the zero time for whenever.
func (l *loop) deadline() time.Time {
	if l.opt.MaxTokenLatency == 0 {
		return time.Time{}
	}
	return l.clock.Add(l.opt.MaxTokenLatency)
}

// left is what remains of the next token's time.
func (l *loop) left() time.Duration { return time.Until(l.deadline()) }

// reserve is the time the deepest exit needs for a token from here, backlog
// included, with two mean deviations on top; false while that was not measured.
func (l *loop) reserve() (time.Duration, bool) {
	if l.deepest.pos == len(l.tokens) {
		return 0, true
	}
	need, dev, known := l.headCost.Cost(1)
	need += 2 * dev
	if l.mid != nil && l.mid.queue.Len() > 0 {
		rows, dev, measured := l.mid.cost.Cost(l.mid.queue.Len())
		need, known = need+rows+2*dev, known && measured
	}
	return need, known
}

// boundBacklog keeps the mid stage's backlog so short that the deepest exit can
// speak within half of a token's time. Of a token that needed neither it takes at
// most the other half, so that a long backlog is worked off over several.
func (l *loop) boundBacklog() error {
	if l.opt.MaxTokenLatency == 0 || l.mid == nil {
		return nil
	}
	half := l.opt.MaxTokenLatency / 2
	for rows := idleRows; l.mid.queue.Len() > 0; {
		if need, known := l.reserve(); known && need <= half {
			return nil
		}
		for ; rows > 1; rows /= 2 {
			if took, _, _ := l.mid.cost.Cost(rows); took <= l.left()-half {
				break
			}
		}
		if err := l.mid.catchUp(rows); err != nil || l.left() <= half {
			return err
		}
	}
	return nil
}
