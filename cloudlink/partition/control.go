package partition

import (
	"fmt"
	"io"
	"strconv"

	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// errShort is how a stream that ends inside a frame shows.
var errShort = io.ErrUnexpectedEOF

func typeName(m wire.Message) string { return "0x" + strconv.FormatUint(uint64(m.Type()), 16) }

// serveControl answers Hello and then writes receipts until the connection
// ends.
func (c *connection) serveControl(s transport.Stream, r *wire.Reader, hello *wire.Hello, settled func()) {
	c.mu.Lock()
	second := c.control
	c.control = true
	c.mu.Unlock()
	if second {
		c.reject(s, &wire.Error{Code: wire.CodeProtocol, Text: "a second control stream"})
		return
	}
	if hello.ProtocolMin > c.srv.conf.Protocol || hello.ProtocolMax < wire.ProtocolMin {
		c.reject(s, &wire.Error{Code: wire.CodeProtocol, Text: fmt.Sprintf(
			"the board speaks protocol %d to %d, this cloud %d to %d: update the older one",
			hello.ProtocolMin, hello.ProtocolMax, wire.ProtocolMin, c.srv.conf.Protocol)})
		return
	}
	c.owning.hello = hello
	close(c.owning.said)
	early, refused := c.permit(hello.Epoch)
	if early && c.srv.conf.Owners != nil { // the hello says by which claim the board is here
		early, refused = false, c.settle()
	}
	if refused == errGone {
		return
	}
	if refused != nil {
		c.reject(s, refused)
		return
	}
	settled()
	c.log().Info("board says hello", "name", hello.Device, "version", hello.Version, "epoch", hello.Epoch)
	welcome := &wire.Welcome{
		Protocol: min(hello.ProtocolMax, c.srv.conf.Protocol), Version: c.srv.conf.Version, Bundles: c.srv.served(),
		Claim: c.owning.claim, Others: c.others(),
	}
	out := &sharedStream{stallingStream: stallingStream{s}}
	if write(out, welcome) != nil {
		return
	}
	var bad *wire.Error
	done := make(chan struct{})
	offers := &offers{of: c.srv.conf.Offer, device: c.device, out: out}
	c.wg.Go(func() {
		defer close(done)
		bad = c.readControl(out, r, offers)
	})
	c.wg.Go(func() { c.tellDrain(out, done) })
	if early { // a receipt lets the board forget rows
		refused = c.settle()
	}
	if refused == errGone {
		return
	}
	if refused != nil {
		c.reject(s, refused)
		return
	}
	offers.tell()
	c.receipts.run(out, done)
	<-done // at the latest with the connection
	if bad != nil {
		c.reject(s, bad)
		return
	}
	s.Close()
	s.CancelRead(transport.CodeNone)
}
