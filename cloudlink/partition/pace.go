package partition

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

// pace is what forward passes take, learned from the newest: a line through
// their rows and times. The zero pace knows nothing and predicts nothing.
type pace struct {
	// weighted sums over passes of n rows and t seconds
	one, n, t, nn, nt float64
}

// add learns from a pass of n rows.
func (p *pace) add(n int, took time.Duration) {
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
func (p *pace) line() (fixed, row float64) {
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

// of predicts a pass of n rows.
func (p *pace) of(n int) time.Duration {
	if n == 0 {
		return 0
	}
	fixed, row := p.line()
	return seconds(fixed + float64(n)*row)
}

// perRow is the smoothed time of a row, the fixed cost shared.
func (p *pace) perRow() time.Duration {
	if p.n == 0 {
		return 0
	}
	return seconds(p.t / p.n)
}

// room returns how many rows fit in a pass of about the given time, at most
// limit. A pass may take twice its fixed cost, so that batching pays.
func (p *pace) room(want time.Duration, limit int) int {
	fixed, row := p.line()
	if row <= 0 {
		return limit
	}
	n := max(want.Seconds()-fixed, fixed) / row
	return min(max(int(min(n, 1e6)), minRoom), limit)
}

// wait predicts how long own rows wait for ahead rows of others, with passes of
// room rows.
func (p *pace) wait(ahead, own, room int) time.Duration {
	fixed, row := p.line()
	passes := (ahead + max(own, 1) - 1) / max(room, 1)
	return seconds(float64(ahead)*row + float64(passes)*fixed)
}

func seconds(s float64) time.Duration {
	return time.Duration(min(s*float64(time.Second), math.MaxInt64/2))
}
