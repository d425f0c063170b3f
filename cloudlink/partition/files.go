package partition

import (
	"fmt"
	"time"

	"skerry/cloudlink/partition/library"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

const (
	// fetchIdle is how long a board may leave a stream of files without asking.
	fetchIdle = 2 * time.Minute
	// maxFetches is how many such streams one device may have.
	maxFetches = 2
)

// File is one file of a bundle that boards may fetch.
type File = library.File

// fetchable is what a board gets that fetches the bundle, in bytes.
func (b Bundle) fetchable() (n uint64) {
	for _, f := range b.Files {
		if !f.Extra {
			n += uint64(f.Bytes)
		}
	}
	return n
}

// serveFiles answers the requests of a stream for pieces of files. A request in a
// first flight waits until that is known to be no replay: it would make the cloud
// send much to whoever sent little.
func (c *connection) serveFiles(stream transport.Stream, r *wire.Reader, first *wire.Fetch, settled func()) {
	refused := c.mayFetch(first.Epoch)
	if refused == errGone {
		return
	}
	if refused == nil && c.account.fetches.Add(1) > maxFetches {
		c.account.fetches.Add(-1)
		refused = &wire.Error{Code: wire.CodeBusy, RetryAfter: 1000, Text: fmt.Sprintf("the device fetches over %d streams already", maxFetches)}
	}
	if refused != nil {
		c.reject(stream, refused)
		return
	}
	defer c.account.fetches.Add(-1)
	settled()
	transport.SetUrgency(stream, transport.UrgencyFiles)
	reader := c.srv.library.NewReader()
	defer reader.Close()
	for m := first; ; {
		piece, refused := reader.Read(m, c.conn.Context().Done())
		if refused != nil {
			if refused.Code == wire.CodeBusy {
				c.srv.count.fetchBusy.Add(1)
			}
			c.reject(stream, refused)
			return
		}
		if write(stallingStream{stream}, piece) != nil {
			return
		}
		c.srv.count.fileBytes.Add(uint64(len(piece.Data)))
		stream.SetReadDeadline(time.Now().Add(fetchIdle))
		if r.Wait() != nil {
			stream.Close()
			stream.CancelRead(transport.CodeNone)
			return
		}
		next, err := nextFrame(stream, r)
		var ok bool
		if m, ok = next.(*wire.Fetch); err == nil && ok {
			continue
		}
		if err == nil || isPeerFault(err) {
			c.reject(stream, &wire.Error{Code: wire.CodeProtocol, Text: badFrame(next, err)})
		}
		return
	}
}

// mayFetch says whether the connection is one of a device that is let in.
func (c *connection) mayFetch(epoch uint64) *wire.Error {
	if refused := c.srv.refuseDraining(); refused != nil {
		return refused
	}
	if _, refused := c.may(); refused != nil {
		return refused
	}
	early, refused := c.permit(epoch)
	if early {
		refused = c.settle()
	}
	return refused
}
