package server

import (
	"time"
)

// evictEvery is how often what has ended is looked through when no request causes it.
const evictEvery = time.Minute

// keepEvicting removes what has ended long ago, until the end.
func (c *Core) keepEvicting() {
	c.tidyImages() // of before, which a process that lives shortly would leave for good
	tick := time.NewTicker(evictEvery)
	defer tick.Stop()
	for {
		select {
		case <-c.life.Done():
			return
		case <-tick.C:
			c.mu.Lock()
			c.evict()
			c.mu.Unlock()
			for _, m := range c.hold() {
				m.Slots.Tidy()
				c.unuse(m)
			}
			c.tidyImages()
		}
	}
}

// evict removes whole answers: those that ended too long ago, and the oldest while all
// of them take too much. What the journal has of them stays. The caller holds mu.
func (c *Core) evict() {
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
		c.remove(oldest)
	}
}

// remove forgets an answer that has ended. The caller holds mu.
func (c *Core) remove(j *job) {
	if c.jobs[j.id] != j {
		return
	}
	delete(c.jobs, j.id)
	if c.sessions[j.Session()] == j {
		delete(c.sessions, j.Session())
	}
	c.bytes -= j.log.size()
}
