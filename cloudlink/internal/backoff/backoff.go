// Package backoff says when to dial a cloud again.
package backoff

import "time"

// Dials that fail are repeated after a time that doubles from First to
// Last; it is at least Refused where dialling again cannot help. While a token
// wants the cloud, dials begin Demand apart.
const (
	First   = 500 * time.Millisecond
	Last    = 5 * time.Minute
	Metered = 30 * time.Minute // in place of Last, on a metered link
	Demand  = 250 * time.Millisecond
	Refused = 5 * time.Minute
)

// Backoff spaces dials out. Every pause is drawn between half of it and all of
// it, so that boards cut off together do not come back together.
type Backoff struct {
	Random func() float64 // in [0, 1)
	Most   time.Duration
	next   time.Duration
}

// Failed returns the pause after one more dial that failed.
func (b *Backoff) Failed(refused bool) time.Duration {
	pause := min(max(b.next, First), b.Most)
	b.next = 2 * pause
	if refused {
		pause = max(pause, Refused)
	}
	return b.spread(pause)
}

func (b *Backoff) spread(d time.Duration) time.Duration {
	return d/2 + time.Duration(b.Random()*float64(d/2))
}

// Reset is for a connection that has lasted.
func (b *Backoff) Reset() { b.next = 0 }
