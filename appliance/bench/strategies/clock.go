package strategies

import (
	"sync"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/engine"
)

// clock adds up the time that the edge computes, and stretches it: an edge that is
// slower than this machine is emulated by sleeping after each batch.
type clock struct {
	slow float64 // 1 as fast as this machine

	mu    sync.Mutex // guards all following
	spent time.Duration
	since time.Time // of the batch at work, zero while there is none
}

// read is the time spent so far, the batch at work included.
func (c *clock) read() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		return c.spent
	}
	return c.spent + time.Since(c.since)
}

func (c *clock) run(compute func() error) error {
	start := time.Now()
	c.mu.Lock()
	c.since = start
	c.mu.Unlock()
	err := compute()
	if c.slow > 1 {
		time.Sleep(time.Duration((c.slow - 1) * float64(time.Since(start))))
	}
	c.mu.Lock()
	c.spent += time.Since(start)
	c.since = time.Time{}
	c.mu.Unlock()
	return err
}

// timedStage and timedHead compute by the clock.
type timedStage struct {
	decode.Stage
	clock *clock
}

func (s timedStage) Forward(b engine.Batch) (out engine.Output, err error) {
	err = s.clock.run(func() error {
		out, err = s.Stage.Forward(b)
		return err
	})
	return out, err
}

type timedHead struct {
	decode.Head
	clock *clock
}

func (h timedHead) Logits(hidden []float32) (logits []float32, err error) {
	err = h.clock.run(func() error {
		logits, err = h.Head.Logits(hidden)
		return err
	})
	return logits, err
}

// timed is the model computing by the clock.
func timed(m decode.Model, c *clock) decode.Model {
	exits := make([]decode.Exit, len(m.Exits))
	for i, e := range m.Exits {
		exits[i] = decode.Exit{Stage: timedStage{e.Stage, c}, Head: timedHead{e.Head, c}, Threshold: e.Threshold}
	}
	m.Exits = exits
	if m.Draft != nil {
		draft := *m.Draft
		draft.Stage = timedStage{draft.Stage, c}
		m.Draft = &draft
	}
	return m
}
