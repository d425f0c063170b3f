package partition

import (
	"sync"
	"time"

	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// statusEvery is the least time between two statuses of a board that are kept.
const statusEvery = 30 * time.Second

// readControl handles what a board says after Hello until the stream ends, and
// returns the error to end it with when that is the board's fault.
func (c *connection) readControl(out transport.SendStream, r *wire.Reader, offers *offers) *wire.Error {
	for {
		m, err := r.Next()
		switch m := m.(type) {
		case *wire.Ping:
			if write(out, &wire.Pong{Number: m.Number}) != nil {
				return nil
			}
			continue
		case *wire.Status:
			c.keepStatus(m)
			if c.confirmed() {
				offers.tell()
			}
			continue
		}
		if err == nil || isPeerFault(err) {
			return &wire.Error{Code: wire.CodeProtocol, Text: badFrame(m, err)}
		}
		return nil
	}
}

// keepStatus writes a board's status down. A status that comes sooner than statusEvery
// after the device's last is dropped, on whatever connection it comes: a flood of
// them would wear the cloud's disk.
func (c *connection) keepStatus(m *wire.Status) {
	devices := c.srv.conf.Devices
	if devices == nil || !c.confirmed() {
		return
	}
	now := c.srv.conf.Clock()
	last := c.account.reported.Load()
	if last != 0 && now.Sub(time.Unix(0, last)) < statusEvery || !c.account.reported.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	b, err := m.Encode()
	if err == nil {
		err = devices.SawDevice(c.device, b, now)
	}
	if err != nil {
		c.log().Warn("status not kept", "err", err)
	}
}

// sharedStream lets receipts, pongs and a drain share the control stream.
type sharedStream struct {
	stallingStream
	mu sync.Mutex // orders writes
}

func (s *sharedStream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stallingStream.Write(b)
}
