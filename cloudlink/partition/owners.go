package partition

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// Owners knows which worker of a cloud a board belongs to.
type Owners interface {
	// Claim makes a device this worker's and returns the number of the claim, which only
	// grows, or the refusal with the worker that has it. Bundle is the id that the board
	// wants in hexadecimal, "" where it has not said.
	Claim(ctx context.Context, device, bundle string, moves wire.Moves) (claim uint64, refused *wire.Error)
	// Others are the addresses of other workers, in the order in which the device should try
	// them.
	Others(device string) []string
}

// owning is what a connection knows of its place among several workers.
type owning struct {
	said  chan struct{} // closed once the board has said hello
	hello *wire.Hello   // set before
	claim uint64        // set once the connection is settled
}

// own claims the device of the connection for this worker, once its epoch is the connection's.
func (c *connection) own() *wire.Error {
	owners := c.srv.conf.Owners
	if owners == nil {
		return nil
	}
	late := time.NewTimer(firstFrame)
	defer late.Stop()
	select {
	case <-c.owning.said:
	case <-c.conn.Context().Done():
		return errGone
	case <-late.C:
		return &wire.Error{Code: wire.CodeProtocol, Text: "the board has not said hello"}
	}
	hello := c.owning.hello
	if hello.Moves == wire.Visits {
		return nil
	}
	claim, refused := owners.Claim(c.conn.Context(), c.device, hex.EncodeToString(hello.Bundle), hello.Moves)
	if refused != nil {
		c.log().Info("board sent elsewhere", "code", refused.Code, "owner", refused.Owner, "text", refused.Text)
		c.closeSoon()
		return refused
	}
	c.owning.claim = claim
	return nil
}

// others are the workers that the board of the connection can go to.
func (c *connection) others() []string {
	owners := c.srv.conf.Owners
	if owners == nil || c.owning.hello == nil || c.owning.hello.Moves == wire.MovesNot {
		return nil
	}
	all := owners.Others(c.device)
	return all[:min(len(all), wire.MaxOthers)]
}

// Moved ends the connections of a device that another worker has taken, and frees what is held
// for it.
func (s *Server) Moved(device string) {
	s.mu.Lock()
	var theirs []*connection
	for c := range s.conns {
		if c.device == device {
			theirs = append(theirs, c)
		}
	}
	s.mu.Unlock()
	for _, c := range theirs {
		c.log().Info("board has gone to another worker")
		c.conn.Close(transport.CodeShutdown, errMoved.Error())
		<-c.closed
	}
	s.Evict(device)
}

var errMoved = errors.New("another worker has the board")
