package cloudlink

import (
	"time"
)

// A link on which nothing came back for patience is suspect, and lost after two
// probes that nobody answers either. The floors give a busy machine time to
// answer; they are short enough that a token learns of a dead link well within
// a second.
const (
	minPatience = 250 * time.Millisecond
	minLost     = 650 * time.Millisecond
	vigilTick   = 50 * time.Millisecond
	// maxCalm bounds how rare probes get while only rows wait for receipts.
	maxCalm = 5
)

// vigil decides when a connection that owes an answer is probed and when it is
// dead. It has no clock and no goroutine of its own.
type vigil struct {
	seen   uint64    // packets received
	since  time.Time // when something came last, or began to be owed
	due    time.Time // of the next step; a step much later says that this machine stalled
	probes int       // sent into the silence
	calm   int       // probes answered in a row while nobody asked
}

type verdict int

const (
	vigilWait verdict = iota
	vigilProbe
	vigilLost
)

// begin starts a vigil: from now on something is owed.
func (v *vigil) begin(now time.Time, st Stats) {
	*v = vigil{seen: st.PacketsReceived, since: now, due: now}
}

// step is called every vigilTick while something is owed; asks says whether
// somebody waits for an answer or only rows for a receipt.
func (v *vigil) step(now time.Time, st Stats, asks bool) verdict {
	if late := now.Sub(v.due); late > 2*vigilTick {
		v.since = v.since.Add(late)
	}
	v.due = now.Add(vigilTick)
	if asks {
		v.calm = 0
	}
	if st.PacketsReceived != v.seen {
		if v.probes > 0 && !asks {
			v.calm = min(v.calm+1, maxCalm)
		}
		v.seen, v.since, v.probes = st.PacketsReceived, now, 0
		return vigilWait
	}
	suspect, lost := limits(st)
	first := suspect << v.calm
	silence := now.Sub(v.since) - (first - suspect)
	switch {
	case v.probes == 0 && silence >= suspect,
		v.probes == 1 && silence >= suspect+(lost-suspect)/2:
		v.probes++
		return vigilProbe
	case v.probes >= 2 && silence >= lost:
		return vigilLost
	}
	return vigilWait
}

// limits returns how long a silence makes a link suspect, and lost.
func limits(st Stats) (suspect, lost time.Duration) {
	suspect = max(2*st.SmoothedRTT+st.RTTDeviation, minPatience)
	return suspect, max(2*suspect, minLost)
}
