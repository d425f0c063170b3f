package server

import (
	"context"
	"errors"
	"time"
)

// saveTime bounds how long the end may take to put prefixes on the disk.
const saveTime = 10 * time.Second

// Shutdown takes no more requests, lets the answers under way finish until ctx
// ends, and then stops them: those of sessions stay in the journal and go on when
// they are followed after the restart. It returns what could not be written down.
func (c *Core) Shutdown(ctx context.Context) error {
	c.mu.Lock()
	c.stopping = true
	c.refuse(nil, errStopping)
	c.announce()
	c.mu.Unlock()
	c.waitIdle(ctx)
	c.cutAll(errStopping)
	c.waitIdle(context.Background())
	c.jobsWG.Wait()
	var err error
	save, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	for _, m := range c.hold() {
		err = errors.Join(err, m.Slots.Save(save))
		c.unuse(m)
	}
	cancel()
	if c.opt.Journal != nil {
		err = errors.Join(err, c.opt.Journal.Sync())
	}
	c.cancel()
	c.wakeLoader()
	c.wg.Wait()
	return err
}

// waitIdle waits until nothing is under way, or ctx ends.
func (c *Core) waitIdle(ctx context.Context) {
	c.mu.Lock()
	if c.busy == 0 {
		c.mu.Unlock()
		return
	}
	if c.idle == nil {
		c.idle = make(chan struct{})
	}
	calm := c.idle
	c.mu.Unlock()
	select {
	case <-calm:
	case <-ctx.Done():
	}
}
