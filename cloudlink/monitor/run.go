package monitor

import (
	"context"
	"time"
)

// Feed is where Run gets its figures and leaves them. Sample is needed.
type Feed struct {
	// Sample returns the counters of the connection, false while there is none.
	Sample func() (Sample, bool)
	// Probe has the peer answer something small and returns how long that took;
	// nil for a link that is not probed.
	Probe func(context.Context) (time.Duration, error)
	// Store keeps the minutes; nil for nobody. Those it refuses are offered again
	// with the next.
	Store Store
	// Failed is told what the store says; nil for nobody.
	Failed func(error)
}

const (
	tick = 250 * time.Millisecond // between looks at the counters
	// probePatience is how long a probe may take beyond a few round trips.
	probePatience = time.Second
)

// Run samples, probes and stores until ctx ends; then it stores what is left. Up
// and Down are for the owner of the connection to say.
func (m *Monitor) Run(ctx context.Context, f Feed) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var unsaved []Minute
	for {
		select {
		case <-ctx.Done():
			m.store(f, unsaved)
			return
		case <-ticker.C:
		}
		if s, ok := f.Sample(); ok {
			m.Observe(s)
		}
		if due := m.NextProbe(); f.Probe != nil && !due.IsZero() && !m.now().Before(due) {
			m.probe(ctx, f)
		}
		unsaved = m.store(f, unsaved)
	}
}

func (m *Monitor) probe(ctx context.Context, f Feed) {
	e := m.Estimates()
	asking, cancel := context.WithTimeout(ctx, probePatience+2*e.SmoothedRTT+4*e.RTTDeviation)
	defer cancel()
	rtt, err := f.Probe(asking)
	switch {
	case err == nil:
		m.Probed(rtt)
	case ctx.Err() == nil:
		m.ProbeLost()
	}
}

// store hands over the minutes that are over, and returns those refused.
func (m *Monitor) store(f Feed, unsaved []Minute) []Minute {
	done := m.Minutes()
	if f.Store == nil || len(done) == 0 {
		return unsaved
	}
	unsaved = append(unsaved, done...)
	if err := f.Store.AppendLink(unsaved); err != nil {
		if f.Failed != nil {
			f.Failed(err)
		}
		return unsaved[max(0, len(unsaved)-keep):]
	}
	return nil
}
