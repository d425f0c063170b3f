package nodetest

import "time"

// patience bounds the waits of tests; it is no measure of speed.
const patience = 2 * time.Minute

// Eventually looks every few milliseconds whether ok holds, for two minutes at most, and
// reports whether it came to hold. It is for what announces itself by no channel: files,
// other processes, a status.
func Eventually(ok func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
