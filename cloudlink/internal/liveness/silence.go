// Package liveness decides when a connection to a cloud is dead, lets no large packets
// through, or is alive and has gone unanswered for too long. It has no goroutine and no
// connection: it is given counters and times.
package liveness

import (
	"time"

	"skerry/cloudlink/transport"
)

// A link on which nothing came back for minSilence, or a few round trips, is suspect, and lost after two
// probes that nobody answers either. The floors give a busy machine time to
// answer; they are short enough that a token learns of a dead link well within
// a second.
const (
	minSilence = 250 * time.Millisecond
	minLost    = 650 * time.Millisecond
	Tick       = 50 * time.Millisecond
	// maxIdle bounds how rare probes get while only rows wait for receipts.
	maxIdle = 5
)

// Silence decides when a connection that owes an answer is probed and when it is
// dead. It has no clock of its own.
type Silence struct {
	seen   uint64    // packets received
	Since  time.Time // when something came last, or began to be owed
	due    time.Time // of the next step; a step much later says that this machine stalled
	probes int       // sent into the silence
	idle   int       // probes answered in a row while nobody asked
}

type Verdict int

const (
	Wait Verdict = iota
	Probe
	Lost
)

// Begin starts the clock: from now on something is owed.
func (v *Silence) Begin(now time.Time, st transport.Stats) {
	*v = Silence{seen: st.PacketsReceived, Since: now, due: now}
}

// Step is called every Tick while something is owed; asks says whether
// somebody waits for an answer or only rows for a receipt.
func (v *Silence) Step(now time.Time, st transport.Stats, asks bool) Verdict {
	v.Since = v.Since.Add(v.Late(now))
	v.due = now.Add(Tick)
	if asks {
		v.idle = 0
	}
	if st.PacketsReceived != v.seen {
		if v.probes > 0 && !asks {
			v.idle = min(v.idle+1, maxIdle)
		}
		v.seen, v.Since, v.probes = st.PacketsReceived, now, 0
		return Wait
	}
	suspect, lost := limits(st)
	first := suspect << v.idle
	silence := now.Sub(v.Since) - (first - suspect)
	switch {
	case v.probes == 0 && silence >= suspect,
		v.probes == 1 && silence >= suspect+(lost-suspect)/2:
		v.probes++
		return Probe
	case v.probes >= 2 && silence >= lost:
		return Lost
	}
	return Wait
}

// Late returns for how long this machine did not run when it should have, 0 where it
// did.
func (v *Silence) Late(now time.Time) time.Duration {
	if late := now.Sub(v.due); late > 2*Tick {
		return late
	}
	return 0
}

// limits returns how long a silence makes a link suspect, and lost.
func limits(st transport.Stats) (suspect, lost time.Duration) {
	suspect = max(2*st.SmoothedRTT+st.RTTDeviation, minSilence)
	return suspect, max(2*suspect, minLost)
}
