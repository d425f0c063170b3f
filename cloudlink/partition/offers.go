package partition

import (
	"sync"

	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// offers tells a board on one connection of the update that it is offered, when that has
// changed.
type offers struct {
	of     func(device string) *wire.Offer // nil: of none
	device string
	out    transport.SendStream

	mu   sync.Mutex // guards told, and orders what is told
	told wire.Offer
}

// tell asks what the board is offered and says so. What cannot be written is lost with the
// connection, which others notice.
func (o *offers) tell() {
	if o.of == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var now wire.Offer
	if offer := o.of(o.device); offer != nil {
		now = *offer
	}
	if now == o.told || write(o.out, &now) != nil {
		return
	}
	o.told = now
}
