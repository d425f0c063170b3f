package partition

import (
	"sync"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

// statusEvery is the least time between two statuses of a board that are kept.
const statusEvery = 30 * time.Second

// readControl handles what a board says after Hello until the stream ends, and
// returns the error to end it with when that is the board's fault.
func (c *connection) readControl(out cloudlink.SendStream, r *wire.Reader) *wire.Error {
	for {
		m, err := r.Next()
		switch m := m.(type) {
		case *wire.Ping:
			if write(out, &wire.Pong{Number: m.Number}) != nil {
				return nil
			}
			continue
		case *wire.Status:
			c.saw(m)
			continue
		}
		if err == nil || isPeerFault(err) {
			return &wire.Error{Code: wire.CodeProtocol, Text: badFrame(m, err)}
		}
		return nil
	}
}

// saw writes a board's status down. A status that comes sooner than statusEvery
// after the last is dropped: a flood of them would wear the cloud's disk.
func (c *connection) saw(m *wire.Status) {
	now := c.srv.conf.Clock()
	c.mu.Lock()
	soon := !c.seen.IsZero() && now.Sub(c.seen) < statusEvery
	if !soon {
		c.seen = now
	}
	c.mu.Unlock()
	devices := c.srv.conf.Devices
	if soon || devices == nil || !c.confirmed() {
		return
	}
	b, err := m.Encode()
	if err == nil {
		err = devices.SawDevice(c.device, b, now)
	}
	if err != nil {
		c.log.Warn("status not kept", "err", err)
	}
}

// sharedStream lets receipts, pongs and a drain share the control stream.
type sharedStream struct {
	patient
	mu sync.Mutex // orders writes
}

func (s *sharedStream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.patient.Write(b)
}
