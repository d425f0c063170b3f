package cloudlink

import (
	"time"

	"skerry/cloudlink/wire"
)

// hello writes the first frame of the connection.
func (c *Client) hello(control Stream) error {
	b, err := wire.Append(nil, &wire.Hello{
		ProtocolMin: wire.ProtocolMin, ProtocolMax: wire.Protocol,
		Device: c.conf.Device, Version: c.conf.Version, Epoch: c.conf.Epoch,
	})
	if err != nil {
		return err
	}
	_, err = control.Write(b)
	return err
}

// readControl handles the control stream until the connection ends.
func (c *Client) readControl(control Stream) {
	r := wire.NewReader(control, 0)
	for {
		m, err := r.Next()
		if err != nil {
			c.end(c.lost(err))
			c.conn.Close(CodeShutdown, "control stream ended")
			return
		}
		switch m := m.(type) {
		case *wire.Welcome:
			c.mu.Lock()
			c.welcome = m
			c.mu.Unlock()
			c.probes.first.Do(func() { close(c.probes.welcome) })
		case *wire.Receipt:
			c.receipt(m)
		case *wire.Pong:
			c.ponged(m)
		case *wire.Drain:
			c.mu.Lock()
			c.draining = true
			c.mu.Unlock()
			c.log.Info("cloud is about to stop", "cloud", c.conf.Addr, "grace_ms", m.Grace)
			if c.conf.hooks.drain != nil {
				c.conf.hooks.drain(time.Duration(m.Grace) * time.Millisecond)
			}
		case *wire.Error:
			c.jump(m)
			c.end(remoteError(m))
			c.conn.Close(CodeShutdown, "refused")
			return
		}
	}
}

// jump makes the next connection's number higher than any the cloud has seen:
// this board has forgotten some.
func (c *Client) jump(m *wire.Error) {
	if m.Code != wire.CodeStale || m.Highest == 0 || c.conf.Epochs == nil {
		return
	}
	if err := c.conf.Epochs.JumpEpoch(m.Highest); err != nil {
		c.log.Error("connections not numbered on", "past", m.Highest, "err", err)
	}
}

func (c *Client) receipt(m *wire.Receipt) {
	c.mu.Lock()
	s := c.sessions[m.Session]
	c.mu.Unlock()
	if s != nil && m.Epoch == c.conf.Epoch {
		s.receipt(c, m)
	}
}
