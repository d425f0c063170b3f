package partition

import (
	"sync"

	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// offers tells a board on one connection of the update that it is offered, at first and when
// that has changed. That none is offered is said at first, too: the board may have heard of
// one, on a connection before or from another cloud, that it would go on to install.
type offers struct {
	of     func(device string) *wire.Offer // nil: of none
	device string
	out    transport.SendStream

	mu   sync.Mutex  // guards told, and orders what is told
	told *wire.Offer // nil: nothing yet
}

// tell asks what the board is offered and says so. What cannot be written is lost with the
// connection, which others notice.
func (o *offers) tell() {
	if o.of == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.of(o.device)
	if now == nil {
		now = new(wire.Offer)
	}
	if o.told != nil && *now == *o.told || write(o.out, now) != nil {
		return
	}
	o.told = now
}
