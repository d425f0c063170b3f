package place

import "time"

// Bounds of what Later says.
const (
	leastLater = 2 * time.Second
	mostLater  = time.Minute
)

// Later says when a board should come again that a worker could not claim. While claims fail the
// time doubles, once in that time however many fail; while they are made it halves again. So a
// store that is asked for more claims than it makes is asked less and less often. The zero Later
// is ready; it has no lock.
type Later struct {
	pause   time.Duration
	changed time.Time
}

// Failed notes at now that a claim failed, and returns after what time to come again: between half
// of the pause and one and a half, by random in [0, 1), so that boards refused together do not
// come together.
func (l *Later) Failed(now time.Time, random float64) time.Duration {
	if l.pause == 0 {
		l.pause, l.changed = leastLater, now
	} else if now.Sub(l.changed) >= l.pause {
		l.pause, l.changed = min(2*l.pause, mostLater), now
	}
	return l.pause/2 + time.Duration(random*float64(l.pause))
}

// Made notes that a claim was made.
func (l *Later) Made(now time.Time) {
	if l.pause > 0 && now.Sub(l.changed) >= l.pause {
		if l.pause, l.changed = l.pause/2, now; l.pause < leastLater {
			l.pause = 0
		}
	}
}
