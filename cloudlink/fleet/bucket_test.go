package fleet

import (
	"testing"
	"time"
)

// A bucket that a worker with a clock of another day has written fills like any other: its device
// would have nothing until that day. Clocks that differ by seconds give nothing twice.
func TestBucketOfAnotherDay(t *testing.T) {
	const perMinute = 60 // one a second, 15 at once
	now := time.Unix(1e9, 0)
	for _, ahead := range []time.Duration{0, 5 * time.Second, time.Minute, 24 * time.Hour} {
		k := bucket{Level: 0, At: now.Add(ahead).UnixMilli()}
		k = k.filled(perMinute, now)
		if k.Level > 0.001 {
			t.Errorf("%v ahead: %.2f positions come of no time", ahead, k.Level)
		}
		if k = k.filled(perMinute, now.Add(10*time.Second)); k.Level < 5-0.001 || k.Level > 10.001 {
			t.Errorf("%v ahead: %.2f positions come in 10 seconds, of one a second", ahead, k.Level)
		}
	}
}
