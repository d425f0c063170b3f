package slots

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"skerry/appliance/engine"
)

const (
	// mostRows is how many rows are computed at once where several sessions are at
	// work: a prompt's chunk and the others' next tokens.
	mostRows = 64
	// fewRows is up to how many rows a job is a next token rather than a prompt.
	fewRows = 8
	// patience is how often in a row deeper units may go first.
	patience = 3
	// longestLinger bounds how long a batch waits for sessions that are about to ask
	// for the same.
	longestLinger = 2 * time.Millisecond
)

// compute merges what the sessions want computed. One goroutine owns all stages
// and heads and computes on one at a time: their threads would starve one another
// on few cores, and sessions that went different ways through the exits meet again
// at the first stage, where their next tokens share a batch.
type compute struct {
	units   []*unit
	running atomic.Int32 // sessions at work
	in      chan *job
	quit    chan struct{}
	wg      sync.WaitGroup

	batches, rows atomic.Uint64

	// Of the goroutine:
	pending int
	away    []time.Time // by sequence: when its last job was done, zero once it has another
}

func newCompute(u []*unit, sequences int) *compute {
	c := &compute{units: u, in: make(chan *job, sequences), quit: make(chan struct{}), away: make([]time.Time, sequences)}
	c.wg.Go(c.run)
	return c
}

// close ends the goroutine; jobs under way and later ones fail with ErrClosed.
func (c *compute) close() {
	close(c.quit)
	c.wg.Wait()
}

// do has a job computed.
func (c *compute) do(j *job) error {
	if j.n == 0 {
		return errors.New("nothing to compute")
	}
	j.done = make(chan struct{})
	select {
	case c.in <- j:
	case <-c.quit:
		return ErrClosed
	}
	select {
	case <-j.done:
		return j.err
	case <-c.quit:
		c.wg.Wait() // the caller's slices may be in use until then
		select {
		case <-j.done:
			return j.err
		default:
			return ErrClosed
		}
	}
}

func (c *compute) run() {
	for c.gather() {
		u := c.pick()
		c.pass(u)
		start := time.Now()
		if u.stage != nil {
			c.forward(u)
		} else {
			c.logits(u)
		}
		u.took = time.Since(start)
		c.finish(u)
	}
}

// gather waits for a job, takes in all there are, and lingers for sessions that
// are about to come back. Where one session is at work it never lingers.
func (c *compute) gather() bool {
	if c.pending == 0 {
		select {
		case j := <-c.in:
			c.take(j)
		case <-c.quit:
			return false
		}
	}
	var timer *time.Timer
	for {
		select {
		case <-c.quit:
			return false
		case j := <-c.in:
			c.take(j)
			continue
		default:
		}
		wait := c.linger()
		if wait <= 0 {
			return true
		}
		if timer == nil {
			timer = time.NewTimer(wait)
			defer timer.Stop()
		} else {
			timer.Reset(wait)
		}
		select {
		case j := <-c.in:
			c.take(j)
		case <-timer.C:
		case <-c.quit:
			return false
		}
	}
}

// linger is how long the next batch waits for the sessions that were given
// something a moment ago: up to a quarter of what a batch of its own would cost. One
// that stays away, to wait for the cloud or because its answer is whole, is waited for
// once.
func (c *compute) linger() (wait time.Duration) {
	if c.running.Load() < 2 {
		return 0
	}
	bound := min(longestLinger, c.pick().took/4)
	for _, t := range c.away {
		if !t.IsZero() {
			wait = max(wait, bound-time.Since(t))
		}
	}
	return wait
}

func (c *compute) take(j *job) {
	j.unit.jobs = append(j.unit.jobs, j)
	c.away[j.seq] = time.Time{}
	c.pending++
}

// pick chooses the unit to compute on: the deepest where a next token waits, so
// that all meet again at the first stage; but none is passed over too often.
func (c *compute) pick() *unit {
	var best *unit
	rank := -1
	for i, u := range c.units {
		if len(u.jobs) == 0 {
			continue
		}
		r := i
		if slices.ContainsFunc(u.jobs, func(j *job) bool { return j.left() <= fewRows }) {
			r += len(c.units)
		}
		if u.skipped >= patience {
			r += 2*len(c.units) + u.skipped
		}
		if r > rank {
			best, rank = u, r
		}
	}
	return best
}

// pass notes that a unit was chosen, and others passed over.
func (c *compute) pass(chosen *unit) {
	for _, u := range c.units {
		if u == chosen || len(u.jobs) == 0 {
			u.skipped = 0
		} else {
			u.skipped++
		}
	}
}

// finish replies to the jobs of a unit that are done.
func (c *compute) finish(u *unit) {
	u.jobs = slices.DeleteFunc(u.jobs, func(j *job) bool {
		done := j.err != nil || j.left() == 0
		if done {
			c.pending--
			c.away[j.seq] = time.Now()
			close(j.done)
		}
		return done
	})
}

// part is the rows [from,to) of a job.
type part struct {
	*job
	from, to int
}

// share cuts the next batch out of a unit's jobs: next tokens whole, and of
// prompts, in equal shares, what is left of mostRows.
func (u *unit) share(most int) (parts []part) {
	var long []*job
	for _, j := range u.jobs {
		if n := j.left(); n > fewRows {
			long = append(long, j)
		} else if n <= most {
			parts = append(parts, part{j, j.at, j.n})
			most -= n
		}
	}
	for i, j := range long {
		if n := min(j.left(), most/(len(long)-i)); n > 0 {
			parts = append(parts, part{j, j.at, j.at + n})
			most -= n
		}
	}
	return parts
}

// forward computes the next rows on a stage, all in one batch if that works, else
// each session's on its own, so that one's fault is not another's.
func (c *compute) forward(u *unit) {
	most := mostRows
	if c.running.Load() < 2 && len(u.jobs) == 1 {
		most = max(most, u.jobs[0].left())
	}
	parts := u.share(most)
	out, err := c.together(u, parts)
	if err == nil {
		spread(parts, out, u.width)
		return
	}
	for _, p := range parts {
		if len(parts) > 1 {
			out, err = c.together(u, []part{p})
		}
		if p.err = err; err == nil {
			spread([]part{p}, out, u.width)
		}
	}
}

// together computes parts as one batch.
func (c *compute) together(u *unit, parts []part) (engine.Output, error) {
	b := merge(parts, u.width)
	c.batches.Add(1)
	c.rows.Add(uint64(len(b.Pos)))
	return u.stage.Forward(b)
}

// merge joins parts to one batch.
func merge(parts []part, width int) engine.Batch {
	if p := parts[0]; len(parts) == 1 && p.from == 0 && p.to == p.n {
		return p.b
	}
	var b engine.Batch
	for _, p := range parts {
		b.Pos = append(b.Pos, p.b.Pos[p.from:p.to]...)
		for k := p.from; k < p.to; k++ {
			w, q := engine.Want(0), int32(p.seq)
			if p.b.Want != nil {
				w = p.b.Want[k]
			}
			if p.b.Seq != nil {
				q = p.b.Seq[k]
			}
			b.Want, b.Seq = append(b.Want, w), append(b.Seq, q)
		}
		if p.b.Tokens != nil {
			b.Tokens = append(b.Tokens, p.b.Tokens[p.from:p.to]...)
		} else {
			b.Hidden = append(b.Hidden, p.b.Hidden[p.from*width:p.to*width]...)
		}
	}
	return b
}

// spread gives every job the rows it wants of a batch.
func spread(parts []part, out engine.Output, width int) {
	hidden, logits := 0, 0
	for _, p := range parts {
		for k := p.from; p.b.Want != nil && k < p.to; k++ {
			if p.b.Want[k]&engine.WantHidden != 0 {
				hidden++
			}
			if p.b.Want[k]&engine.WantLogits != 0 {
				logits++
			}
		}
	}
	if p := parts[0]; len(parts) == 1 && p.from == 0 && p.to == p.n {
		p.out, p.at = out, p.to
		return
	}
	vocab := len(out.Logits) / max(1, logits)
	for _, p := range parts {
		for k := p.from; p.b.Want != nil && k < p.to; k++ {
			if p.b.Want[k]&engine.WantHidden != 0 {
				p.out.Hidden = append(p.out.Hidden, out.Hidden[:width]...)
				out.Hidden = out.Hidden[width:]
			}
			if p.b.Want[k]&engine.WantLogits != 0 {
				p.out.Logits = append(p.out.Logits, out.Logits[:vocab]...)
				out.Logits = out.Logits[vocab:]
			}
		}
		p.at = p.to
	}
}

// logits computes a head for all that wait for it, or for each on its own.
func (c *compute) logits(u *unit) {
	var hidden []float32
	n := 0
	for _, j := range u.jobs {
		hidden = append(hidden, j.b.Hidden...)
		n += j.n
	}
	out, err := u.head.Logits(hidden)
	for _, j := range u.jobs {
		if err != nil && len(u.jobs) > 1 {
			j.out.Logits, j.err = u.head.Logits(j.b.Hidden)
		} else if j.err = err; err == nil {
			k := j.n * (len(out) / n)
			j.out.Logits, out, n = out[:k:k], out[k:], n-j.n
		}
		j.at = j.n
	}
}
