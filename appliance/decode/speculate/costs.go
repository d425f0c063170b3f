package speculate

const (
	// recent is of how many passes of a size the cost is the mean, about.
	recent = 8
	// usualShare is what each further row of a pass costs of a first one at most, where nothing
	// longer was seen: about what processors have. More would have longer passes never be
	// tried.
	usualShare = 0.4
	// single is for how many checks in a row the cost of a pass of one row is believed
	// that was not seen meanwhile.
	single = 64
)

// Costs are what passes take, by their number of rows. Sizes do not lie on a line: of two
// rows some kernels take longer than twice of one, and of eight less than by far eight times.
type Costs struct {
	mean [MostDraft + 2]float64 // seconds by rows, 0 for those not seen
	seen [MostDraft + 2]int
	last int // passes since the last of one row
}

// Observe takes in a pass; longer ones than a check ever has are left out.
func (c *Costs) Observe(rows int, seconds float64) {
	if rows <= 0 || rows >= len(c.mean) || !(seconds > 0) {
		return
	}
	if c.last++; rows == 1 {
		c.last = 0
	}
	c.seen[rows]++
	c.mean[rows] += (seconds - c.mean[rows]) / float64(min(c.seen[rows], recent))
}

// Old reports whether a pass of one row is to be seen again.
func (c *Costs) Old() bool { return c.last >= single }

// Of is the expected time of a pass in seconds, 0 while none of one row was seen. Between
// two sizes that were seen it lies on the line between them.
func (c *Costs) Of(rows int) float64 {
	if rows < 1 || c.mean[1] == 0 {
		return 0
	}
	below := min(rows, MostDraft+1)
	for c.mean[below] == 0 {
		below--
	}
	if below == rows {
		return c.mean[below]
	}
	for above := rows + 1; above < len(c.mean); above++ {
		if c.mean[above] > 0 {
			return c.mean[below] + (c.mean[above]-c.mean[below])*float64(rows-below)/float64(above-below)
		}
	}
	further := usualShare * c.mean[1]
	if below > 1 {
		further = min(further, max((c.mean[below]-c.mean[1])/float64(below-1), 0))
	}
	return c.mean[below] + further*float64(rows-below)
}
