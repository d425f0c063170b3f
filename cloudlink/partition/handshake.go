package partition

import (
	"context"
	"log/slog"
	"time"

	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// errGone refuses what came on a connection that ended before it was confirmed.
var errGone = &wire.Error{Code: wire.CodeStale, Text: "the connection ended before its handshake was confirmed"}

// admitted returns why the device may not connect, nil when it may. It is asked
// for every connection: a ticket resumes what a certificate once began.
func (c *connection) admitted() *wire.Error {
	_, refused := c.may()
	return refused
}

// permit says whether what came in an epoch may be acted upon: before the
// handshake is confirmed as far as that is safe (early), or afterwards, for
// which it waits.
func (c *connection) permit(epoch uint64) (early bool, refused *wire.Error) {
	if refused := c.number(epoch); refused != nil {
		return false, refused
	}
	if !c.confirmed() && epoch > 0 && c.srv.fence.Provide(c.device, c, epoch) {
		return true, nil
	}
	return false, c.settle()
}

// number fixes the epoch of the connection.
func (c *connection) number(epoch uint64) *wire.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.refused != nil:
		return c.refused
	case c.numbered && c.epoch != epoch:
		return &wire.Error{Code: wire.CodeProtocol, Text: "a second epoch on one connection"}
	}
	c.numbered, c.epoch = true, epoch
	return nil
}

func (c *connection) epochNow() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch
}

func (c *connection) confirmed() bool {
	select {
	case <-c.conn.HandshakeComplete():
		return true
	default:
		return false
	}
}

// settle waits until the handshake is confirmed and the epoch is the connection's.
// Whatever takes something from another session, or is kept, waits for it.
func (c *connection) settle() *wire.Error {
	select {
	case <-c.conn.HandshakeComplete():
		return c.claimed()
	case <-c.conn.Context().Done():
		return errGone
	}
}

// claimEpoch is called once, by the first that settles.
func (c *connection) claimEpoch() *wire.Error {
	epoch := c.epochNow()
	losers, refused, err := c.srv.fence.Confirm(c.device, c, epoch)
	if err != nil {
		c.log().Error("epoch not written down", "epoch", epoch, "err", err)
	}
	if refused != nil {
		c.closeSoon()
		// One that has been used is nothing to look into: a test of the link, or a board that
		// was restored from a copy, numbers on from what it is told here.
		level := slog.LevelInfo
		if epoch > refused.Highest || refused.Code == wire.CodeUnauthorized {
			c.account.setTrouble(refused.Text)
			level = slog.LevelWarn
		}
		c.log().Log(context.Background(), level, "epoch refused", "epoch", epoch, "highest", refused.Highest, "text", refused.Text)
		return refused
	}
	for _, o := range losers {
		o.conn.Close(transport.CodeRefused, "a newer connection has the epoch")
		<-o.closed // its sequences are free again
	}
	return c.own()
}

// closeSoon gives the peer time to read why it is refused and then ends the
// connection.
func (c *connection) closeSoon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing == nil {
		c.closing = time.AfterFunc(firstFrame, func() { c.conn.Close(transport.CodeRefused, "refused") })
	}
}

// noteUnconfirmed logs a connection that never confirmed its handshake.
func (c *connection) noteUnconfirmed() {
	c.srv.fence.Leave(c.device, c)
	if c.confirmed() {
		return
	}
	c.srv.count.unconfirmed.Add(1)
	c.mu.Lock()
	numbered, epoch := c.numbered, c.epoch
	c.mu.Unlock()
	if !numbered {
		c.log().Warn("first flight never confirmed")
		return
	}
	if used, _ := c.srv.fence.Used(c.device, epoch); used {
		c.log().Warn("replayed first flight, nothing was changed", "epoch", epoch)
	} else {
		c.log().Warn("first flight never confirmed: a replay, or the board gave up", "epoch", epoch)
	}
}
