package monitor

import "time"

// smoothed is a mean and a mean deviation after RFC 6298, section 2, in any unit.
type smoothed struct {
	mean, dev float64
	any       bool
}

func (s *smoothed) add(v float64) {
	if !s.any {
		*s = smoothed{mean: v, dev: abs(v) / 2, any: true}
		return
	}
	s.dev += (abs(s.mean-v) - s.dev) / 4
	s.mean += (v - s.mean) / 8
}

func abs(v float64) float64 {
	if v < 0 {
		return -v
	}
	return v
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
