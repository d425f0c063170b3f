package monitor

import "time"

// BatchCost learns what a stage takes for a batch of n rows: T(1 + m(n-1)), a
// first row in full and a share m of it for each further one. The zero value has
// learnt nothing.
type BatchCost struct {
	// Sums over what was seen, each decayed by forget at every further batch;
	// x is rows beyond the first, y seconds.
	w, x, y, xx, xy float64
	dev             smoothed // seconds off
}

const (
	forget = 0.95
	// usualShare is m before batches of different sizes were seen: on CPUs a
	// further row costs 0.2 to 0.6 of a full one. priorRows is how far sizes must
	// spread, in rows squared, for both to weigh the same.
	usualShare = 0.4
	priorRows  = 0.25
)

// Observe takes in that rows rows took d.
func (c *BatchCost) Observe(rows int, d time.Duration) {
	if rows <= 0 || d < 0 {
		return
	}
	if first, further := c.line(); c.w > 0 {
		c.dev.add(abs(d.Seconds() - first - further*float64(rows-1)))
	}
	for _, sum := range []*float64{&c.w, &c.x, &c.y, &c.xx, &c.xy} {
		*sum *= forget
	}
	x, y := float64(rows-1), d.Seconds()
	c.w, c.x, c.y, c.xx, c.xy = c.w+1, c.x+x, c.y+y, c.xx+x*x, c.xy+x*y
}

// line is the cost of a first row and of each further one, in seconds: least
// squares, drawn towards the usual share where sizes hardly differ.
func (c *BatchCost) line() (first, further float64) {
	if c.w == 0 {
		return 0, 0
	}
	x, y := c.x/c.w, c.y/c.w
	spread, together := max(c.xx-c.x*x, 0), c.xy-c.x*y
	usual := usualShare * y / (1 + usualShare*x)
	further = max((together+priorRows*usual)/(spread+priorRows), 0)
	if first = y - further*x; first < 0 {
		return 0, y / x
	}
	return first, further
}

// Cost returns the expected time of a batch of rows rows and its mean deviation;
// known is false before the first Observe.
func (c *BatchCost) Cost(rows int) (mean, deviation time.Duration, known bool) {
	first, further := c.line()
	if rows <= 0 {
		return 0, 0, c.w > 0
	}
	return duration(first + further*float64(rows-1)), duration(c.dev.mean), c.w > 0
}
