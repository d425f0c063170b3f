package cloudlink

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// hello writes the first frame of the connection.
func (c *Client) hello(control transport.Stream) error {
	b, err := wire.Append(nil, &wire.Hello{
		ProtocolMin: wire.ProtocolMin, ProtocolMax: cmp.Or(c.conf.Protocol, wire.Protocol),
		Device: c.conf.Device, Version: c.conf.Version, Epoch: c.conf.Epoch,
		Moves: c.conf.moves, Bundle: c.conf.bundle,
	})
	if err != nil {
		return err
	}
	_, err = control.Write(b)
	return err
}

// readControl handles the control stream until the connection ends.
func (c *Client) readControl(control transport.Stream) {
	r := wire.NewReader(control, 0)
	for {
		m, err := r.Next()
		switch {
		case err == nil:
			err = c.handleControl(m)
		case errors.Is(err, wire.ErrFrame):
			err = linkerr.At(c.conf.Addr, linkerr.AsBreach(err))
		default:
			err = c.lost(err)
		}
		if err == nil {
			continue
		}
		code, why := transport.CodeShutdown, "control stream ended"
		if c.noteBreach(err) {
			code, why = transport.CodeProtocol, linkerr.Printable(err.Error(), linkerr.MaxName)
		}
		c.end(err)
		c.conn.Close(code, why)
		return
	}
}

// handleControl takes one message. An error ends the connection.
func (c *Client) handleControl(m wire.Message) error {
	switch m := m.(type) {
	case *wire.Welcome:
		return c.welcomed(m)
	case *wire.Receipt:
		return c.receipt(m)
	case *wire.Pong:
		return c.ponged(m)
	case *wire.Drain:
		grace := min(time.Duration(m.Grace)*time.Millisecond, linkerr.LongestPause)
		c.mu.Lock()
		c.draining = true
		c.mu.Unlock()
		c.log.Info("cloud is about to stop", "cloud", c.conf.Addr, "grace", grace)
		if c.conf.hooks.drain != nil {
			c.conf.hooks.drain(grace, printableAll(m.Others))
		}
		return nil
	case *wire.Offer:
		if c.conf.hooks.offer != nil {
			c.conf.hooks.offer(*m)
		}
		return nil
	case *wire.Error:
		c.jump(m)
		return linkerr.Remote(m)
	}
	return fmt.Errorf("cloud %s: %w", c.conf.Addr, linkerr.Breach("a message of type %#x on the control stream", byte(m.Type())))
}

// welcomed takes the cloud's hello, once.
func (c *Client) welcomed(m *wire.Welcome) error {
	if m.Protocol < wire.ProtocolMin || m.Protocol > wire.Protocol {
		return linkerr.At(c.conf.Addr, linkerr.Breach("it chose protocol %d, %d to %d are spoken here: update the older side",
			m.Protocol, wire.ProtocolMin, wire.Protocol))
	}
	m.Version = linkerr.Printable(m.Version, linkerr.MaxName)
	m.Others = printableAll(m.Others)
	for i := range m.Bundles {
		m.Bundles[i].Name = linkerr.Printable(m.Bundles[i].Name, linkerr.MaxName)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.welcome != nil {
		return linkerr.At(c.conf.Addr, linkerr.Breach("a second hello"))
	}
	c.welcome = m
	c.probes.first.Do(func() { close(c.probes.welcome) })
	return nil
}

// printableAll makes addresses that a cloud has told of fit to be shown.
func printableAll(addrs []string) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = linkerr.Printable(a, linkerr.MaxText)
	}
	return out
}

// noteBreach counts err and reports whether it is a breach of the protocol.
func (c *Client) noteBreach(err error) bool {
	var breach *linkerr.ProtocolError
	if !errors.As(err, &breach) {
		return false
	}
	c.log.Warn("the cloud breaks the protocol", "cloud", c.conf.Addr, "err", err)
	if c.conf.hooks.breach != nil {
		c.conf.hooks.breach(breach)
	}
	return true
}

// jump makes the next connection's number higher than any the cloud has seen: this
// board has forgotten some. A cloud that has seen only lower ones refuses this
// number as out of reach, and the board numbers on from what the cloud knows.
func (c *Client) jump(m *wire.Error) {
	if m.Code != wire.CodeStale || m.Highest == 0 || c.conf.Epochs == nil {
		return
	}
	count := c.conf.Epochs.JumpEpoch
	if m.Highest < c.conf.Epoch {
		count = c.conf.Epochs.ResetEpoch
	}
	if err := count(m.Highest); err != nil {
		c.log.Error("connections not numbered on", "past", m.Highest, "err", err)
	}
}
