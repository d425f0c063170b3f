package sched

import (
	"math"
	"time"
)

const (
	// recency is the weight of a pass against the one after it: about the
	// newest 20 count.
	recency = 0.95
	// minRoom is the least a pass takes, in rows, so that passes of several
	// sizes are seen and their cost can be told apart into its two parts.
	minRoom = 4
)

// Pace is what forward passes take, learned from the newest: a line through
// their rows and times. The zero Pace knows nothing and predicts nothing.
type Pace struct {
	// weighted sums over passes of n rows and t seconds
	one, n, t, nn, nt float64
}

// Add learns from a pass of n rows.
func (p *Pace) Add(n int, took time.Duration) {
	rows, sec := float64(n), max(took, 0).Seconds()
	for _, s := range []struct {
		sum *float64
		v   float64
	}{{&p.one, 1}, {&p.n, rows}, {&p.t, sec}, {&p.nn, rows * rows}, {&p.nt, rows * sec}} {
		*s.sum = recency**s.sum + s.v
	}
}

// line returns what a pass costs with no row and what every row adds, in
// seconds. While all passes had one size, all cost counts as the rows'.
func (p *Pace) line() (fixed, row float64) {
	if p.one == 0 {
		return 0, 0
	}
	n, t := p.n/p.one, p.t/p.one
	spread := p.nn/p.one - n*n
	if spread < 1e-3*n*n {
		return 0, t / n
	}
	row = min(max((p.nt/p.one-n*t)/spread, 0), t/n)
	return t - row*n, row
}

// Pass predicts a pass of n rows.
func (p *Pace) Pass(n int) time.Duration {
	if n == 0 {
		return 0
	}
	fixed, row := p.line()
	return Seconds(fixed + float64(n)*row)
}

// PerRow is the smoothed time of a row, the fixed cost shared.
func (p *Pace) PerRow() time.Duration {
	if p.n == 0 {
		return 0
	}
	return Seconds(p.t / p.n)
}

// Room returns how many rows fit in a pass of about the given time, at most
// limit. A pass may take twice its fixed cost, so that batching pays.
func (p *Pace) Room(want time.Duration, limit int) int {
	fixed, row := p.line()
	if row <= 0 {
		return limit
	}
	n := max(want.Seconds()-fixed, fixed) / row
	return min(max(int(min(n, 1e6)), minRoom), limit)
}

// Wait predicts how long own rows wait for ahead rows of others, with passes of room rows. What
// the own rows take by themselves is no waiting: whoever is alone waits for nobody, however many
// rows they have and however slow passes have been.
func (p *Pace) Wait(ahead, own, room int) time.Duration {
	fixed, row := p.line()
	own, room = max(own, 1), max(room, 1)
	passes := (ahead+own-1)/room - (own-1)/room
	return Seconds(float64(ahead)*row + float64(passes)*fixed)
}

// Seconds is a number of seconds as a duration, at most about 146 years.
func Seconds(s float64) time.Duration {
	return time.Duration(min(s*float64(time.Second), math.MaxInt64/2))
}
