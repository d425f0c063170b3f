package partition

import (
	"errors"
	"sync"

	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// ErrUnknownDevice is wrapped by Devices.Admitted for a device it has no record
// of. The text of this error and of one that wraps ErrRevoked goes to the board.
var ErrUnknownDevice = errors.New("unknown device")

// may says what the device of the connection may send, or why it may not
// be here. It asks anew every time: a device may be revoked any moment.
func (c *connection) may() (may string, refused *wire.Error) {
	if c.srv.conf.Devices == nil {
		return "text", nil
	}
	may, err := c.srv.conf.Devices.Admitted(c.device)
	switch {
	case err == nil:
		return may, nil
	case errors.Is(err, ErrRevoked) || errors.Is(err, ErrUnknownDevice):
		c.log().Warn("board refused", "err", err)
		return "", &wire.Error{Code: wire.CodeUnauthorized, Text: err.Error(), Revoked: errors.Is(err, ErrRevoked)}
	}
	c.log().Error("device record", "err", err)
	return "", &wire.Error{Code: wire.CodeInternal, RetryAfter: 1000, Text: "the cloud cannot read its record of devices: its log says why"}
}

// mayOpen refuses a session of a device that may not send what it is made of.
func (c *connection) mayOpen(tokens bool) *wire.Error {
	may, refused := c.may()
	switch {
	case refused != nil:
		return refused
	case may == "text" || may == "hidden" && !tokens:
		return nil
	case may == "hidden":
		return &wire.Error{Code: wire.CodeUnauthorized, Text: "device " + c.device + " may send hidden states but no tokens: enroll it again with --may text"}
	}
	return &wire.Error{Code: wire.CodeUnauthorized, Text: "device " + c.device + " may send nothing: enroll it again with --may hidden or text"}
}

// Disconnect ends every connection of a device and tells it why. What Devices
// says of the device must have changed before: connections that come meanwhile
// ask it, and have their epochs checked against its record.
func (s *Server) Disconnect(device, why string) {
	s.fence.Forget(device)
	code := transport.CodeDenied
	if d := s.conf.Devices; d != nil {
		if _, err := d.Admitted(device); errors.Is(err, ErrRevoked) {
			code = transport.CodeRevoked
		}
	}
	var theirs []*connection
	s.mu.Lock()
	for c := range s.conns {
		if c.device == device {
			theirs = append(theirs, c)
		}
	}
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range theirs {
		c.log().Warn("board disconnected", "why", why)
		wg.Go(func() { c.conn.Close(code, why) })
	}
	wg.Wait()
}
