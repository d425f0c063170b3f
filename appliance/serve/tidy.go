package serve

import (
	"time"
)

// tidyEvery is how often what has ended is looked through when nobody asks.
const tidyEvery = time.Minute

// keepTidy drops what has ended long ago, until the end.
func (c *Core) keepTidy() {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-c.life.Done():
			return
		case <-tick.C:
			c.mu.Lock()
			c.tidy()
			c.mu.Unlock()
		}
	}
}

// tidy drops whole answers: those that ended too long ago, and the oldest while all
// of them take too much. What the journal has of them stays. The caller holds mu.
func (c *Core) tidy() {
	for {
		var oldest *job
		for _, j := range c.jobs {
			if !j.ended.IsZero() && (oldest == nil || j.ended.Before(oldest.ended)) {
				oldest = j
			}
		}
		if oldest == nil || c.bytes <= c.opt.KeepBytes && time.Since(oldest.ended) < c.opt.KeepFor {
			return
		}
		c.drop(oldest)
	}
}

// drop forgets an answer that has ended. The caller holds mu.
func (c *Core) drop(j *job) {
	if c.jobs[j.id] != j {
		return
	}
	delete(c.jobs, j.id)
	if c.sessions[j.Session()] == j {
		delete(c.sessions, j.Session())
	}
	c.bytes -= j.log.size()
}
