package monitor

import "time"

const (
	// dwell is how long a state is kept at least.
	dwell = 2 * time.Second
	// rise is how long the figures have to be better without a break before the
	// state is. A link that is back after its only fall within calm is believed at
	// once; one that comes and goes stays down.
	rise = 3 * time.Second
	calm = 30 * time.Second
)

// verdict is what the figures say at one moment.
type verdict struct {
	State
	reason string
}

// Change of the state.
type Change struct {
	At     time.Time `json:"at"`
	From   State     `json:"from"`
	To     State     `json:"to"`
	Reason string    `json:"reason"`
}

// judged is the state with its hysteresis. Beside the thresholds, which differ by
// direction, it takes time: no two changes within dwell, and none for the better
// before rise.
type judged struct {
	verdict
	since  time.Time // of the last change, zero before the first
	fell   time.Time // at the last change for the worse
	shaky  bool      // that was not the only one within calm
	better time.Time // since when the figures have been better than the state
	least  State     // the worst of them since
}

// settle takes in a verdict and returns the change it makes, if any.
func (j *judged) settle(now time.Time, v verdict) (c Change, changed bool) {
	if v.State <= j.State {
		j.better = time.Time{}
	} else if j.better.IsZero() {
		j.better, j.least = now, v.State
	}
	j.least = min(j.least, v.State)
	wait := v.State > j.State && (j.State > Down || j.shaky)
	switch {
	case v.State == j.State:
		j.reason = v.reason
		return c, false
	case !j.since.IsZero() && now.Sub(j.since) < dwell, wait && now.Sub(j.better) < rise:
		return c, false
	case wait:
		v.State = j.least
	case v.State < j.State:
		j.shaky = !j.fell.IsZero() && now.Sub(j.fell) < calm
		j.fell = now
	}
	c = Change{At: now, From: j.State, To: v.State, Reason: v.reason}
	j.verdict, j.since, j.better = v, now, time.Time{}
	return c, true
}
