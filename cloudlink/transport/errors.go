package transport

import (
	"errors"

	"github.com/quic-go/quic-go"
)

// ErrEarlyRejected comes out of every stream that was opened before the handshake
// where the cloud did not take the early data. A connection that Dial returned deals
// with that by itself: it writes its streams again, and they do not return it.
var ErrEarlyRejected error = quic.Err0RTTRejected

// ClosedBy returns the code and the reason with which the peer closed the
// connection, where err, the cause of Conn.Context or what a stream returned, says
// that it did.
func ClosedBy(err error) (code uint64, reason string, ok bool) {
	var q *quic.ApplicationError
	var c *closedError
	switch {
	case errors.As(err, &q) && q.Remote:
		return uint64(q.ErrorCode), q.ErrorMessage, true
	case errors.As(err, &c):
		return c.code, c.reason, true
	}
	return 0, "", false
}
