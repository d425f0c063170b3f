package cloudlink

import "time"

// Dials that fail are repeated after a time that doubles from firstPause to
// lastPause; it is at least refusedPause where dialling again cannot help.
// While a token wants the cloud, dials begin demandPause apart.
const (
	firstPause   = 500 * time.Millisecond
	lastPause    = 5 * time.Minute
	meteredPause = 30 * time.Minute // in place of lastPause
	demandPause  = 250 * time.Millisecond
	refusedPause = 5 * time.Minute
)

// backoff spaces dials out. Every pause is drawn between half of it and all of
// it, so that boards cut off together do not come back together.
type backoff struct {
	random func() float64 // in [0, 1)
	most   time.Duration
	next   time.Duration
}

// failed returns the pause after one more dial that failed.
func (b *backoff) failed(refused bool) time.Duration {
	pause := min(max(b.next, firstPause), b.most)
	b.next = 2 * pause
	if refused {
		pause = max(pause, refusedPause)
	}
	return b.spread(pause)
}

func (b *backoff) spread(d time.Duration) time.Duration {
	return d/2 + time.Duration(b.random()*float64(d/2))
}

func (b *backoff) reset() { b.next = 0 }
