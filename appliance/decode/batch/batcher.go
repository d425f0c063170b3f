package batch

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"skerry/appliance/engine"
)

const (
	// maxRows is how many rows are computed at once where several sessions are at
	// work: a prompt's chunk and the others' next tokens.
	maxRows = 64
	// maxTokenRows is up to how many rows a job is a next token rather than a prompt.
	maxTokenRows = 8
	// maxSkips is how often in a row deeper executors may go first.
	maxSkips = 3
	// maxBatchWindow bounds how long a batch waits for sessions that are about to ask
	// for the same.
	maxBatchWindow = 2 * time.Millisecond
)

// batcher merges what the sessions want computed. One goroutine owns all stages
// and heads and computes on one at a time: their threads would starve one another
// on few cores, and sessions that went different ways through the exits meet again
// at the first stage, where their next tokens share a batch.
type batcher struct {
	executors []*executor
	running   atomic.Int32 // sessions at work
	in        chan *job
	quit      chan struct{}
	wg        sync.WaitGroup

	batches, rows atomic.Uint64

	// Of the goroutine:
	pending  int
	lastDone []time.Time // by sequence: when its last job was done, zero once it has another
}

func newBatcher(u []*executor, sequences int) *batcher {
	c := &batcher{executors: u, in: make(chan *job, sequences), quit: make(chan struct{}), lastDone: make([]time.Time, sequences)}
	c.wg.Go(c.run)
	return c
}

// close ends the goroutine; jobs under way and later ones fail with ErrClosed.
func (c *batcher) close() {
	close(c.quit)
	c.wg.Wait()
}

// do has a job computed.
func (c *batcher) do(j *job) error {
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

func (c *batcher) run() {
	for c.gather() {
		u := c.pick()
		c.countSkips(u)
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

// gather waits for a job, takes in all there are, and keeps the batch open for sessions
// that are about to come back. Where one session is at work it never waits for others.
func (c *batcher) gather() bool {
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
		wait := c.batchWindow()
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

// batchWindow is how long the next batch waits for the sessions that were given
// something a moment ago: up to a quarter of what a batch of its own would cost. One
// that stays away, to wait for the cloud or because its answer is whole, is waited for
// once.
func (c *batcher) batchWindow() (wait time.Duration) {
	if c.running.Load() < 2 {
		return 0
	}
	bound := min(maxBatchWindow, c.pick().took/4)
	for _, t := range c.lastDone {
		if !t.IsZero() {
			wait = max(wait, bound-time.Since(t))
		}
	}
	return wait
}

func (c *batcher) take(j *job) {
	j.executor.jobs = append(j.executor.jobs, j)
	c.lastDone[j.seq] = time.Time{}
	c.pending++
}

// pick chooses the executor to compute on: the deepest where a next token waits, so
// that all meet again at the first stage; but none is passed over too often.
func (c *batcher) pick() *executor {
	var best *executor
	rank := -1
	for i, u := range c.executors {
		if len(u.jobs) == 0 {
			continue
		}
		r := i
		if slices.ContainsFunc(u.jobs, func(j *job) bool { return j.left() <= maxTokenRows }) {
			r += len(c.executors)
		}
		if u.skipped >= maxSkips {
			r += 2*len(c.executors) + u.skipped
		}
		if r > rank {
			best, rank = u, r
		}
	}
	return best
}

// countSkips notes that an executor was chosen, and others passed over.
func (c *batcher) countSkips(chosen *executor) {
	for _, u := range c.executors {
		if u == chosen || len(u.jobs) == 0 {
			u.skipped = 0
		} else {
			u.skipped++
		}
	}
}

// finish replies to the jobs of an executor that are done.
func (c *batcher) finish(u *executor) {
	u.jobs = slices.DeleteFunc(u.jobs, func(j *job) bool {
		done := j.err != nil || j.left() == 0
		if done {
			c.pending--
			c.lastDone[j.seq] = time.Now()
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

// nextRows cuts the next batch out of an executor's jobs: next tokens whole, and of
// prompts, in equal shares, what is left of mostRows.
func (u *executor) nextRows(most int) (parts []part) {
	var long []*job
	for _, j := range u.jobs {
		if n := j.left(); n > maxTokenRows {
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
func (c *batcher) forward(u *executor) {
	most := maxRows
	if c.running.Load() < 2 && len(u.jobs) == 1 {
		most = max(most, u.jobs[0].left())
	}
	parts := u.nextRows(most)
	out, err := c.forwardBatch(u, parts)
	if err == nil {
		scatter(parts, out, u.width)
		return
	}
	for _, p := range parts {
		if len(parts) > 1 {
			out, err = c.forwardBatch(u, []part{p})
		}
		if p.err = err; err == nil {
			scatter([]part{p}, out, u.width)
		} else if p.at > 0 { // a batch that failed leaves the stage as it was before all of it
			p.err = errors.Join(err, u.stage.Truncate(p.seq, int(p.b.Pos[0])))
		}
	}
}

// forwardBatch computes parts as one batch.
func (c *batcher) forwardBatch(u *executor, parts []part) (engine.Output, error) {
	b := gatherRows(parts, u.width)
	c.batches.Add(1)
	c.rows.Add(uint64(len(b.Pos)))
	return u.stage.Forward(b)
}

// gatherRows joins parts to one batch.
func gatherRows(parts []part, width int) engine.Batch {
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

// scatter gives every job the rows it wants of a batch.
func scatter(parts []part, out engine.Output, width int) {
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
func (c *batcher) logits(u *executor) {
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
