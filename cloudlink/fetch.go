package cloudlink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

const (
	// firstPiece, leastPiece and wire.MaxPiece bound the pieces of a fetch, in
	// bytes. They grow and shrink so that one takes about pieceTime beyond a round
	// trip: that is what an answer behind it waits.
	firstPiece = 16 << 10
	leastPiece = 4 << 10
	pieceTime  = 100 * time.Millisecond
	// pieceLimit is how long a piece may take before the stream is given up.
	pieceLimit = 30 * time.Second
	// fetchTries is how often in a row a fetch may break without a byte gained.
	fetchTries = 5
	// fetchPause is the wait before the next try, doubled each time.
	fetchPause = time.Second
	// quietFor is how long nobody may have wanted anything of the cloud before a
	// piece is asked for, and asksFirst how long it is held back for that at most: a
	// conversation beside a fetch meets a piece every few seconds.
	quietFor  = 200 * time.Millisecond
	asksFirst = 2 * time.Second
)

// ErrNoFetch is wrapped where a cloud serves no files of a bundle.
var ErrNoFetch = errors.New("the cloud does not serve the files of this bundle")

// Bundles returns what the cloud said that it serves when it was connected to
// last, and false before it was.
func (l *Link) Bundles() ([]wire.BundleName, bool) {
	c := l.Client()
	if c == nil {
		return nil, false
	}
	w, ok := c.Welcome()
	return w.Bundles, ok
}

// Fetch is one file of a bundle to be had from the cloud.
type Fetch struct {
	Bundle wire.Hash
	File   string // its name in the bundle
	From   int64  // the first byte wanted
	Most   int64  // bytes the whole file may have
	// Take is given the pieces in order, each from where the last ended, and the
	// size of the whole file. Its error ends the fetch and is returned.
	Take func(total int64, piece []byte) error
}

// Fetch has the cloud send a file and returns once it is whole. Where the
// connection is lost it waits for the next one and goes on. A piece is asked for
// when the last has come and nobody waits for an answer. Errors wrap ErrNoFetch,
// ErrNoFile, ErrUnauthorized, ErrUnknownBundle, ErrBudget, ErrProtocol, ErrClosed
// or the context's.
func (l *Link) Fetch(ctx context.Context, f Fetch) error {
	at, size := f.From, firstPiece
	pause := fetchPause
	for left := fetchTries; ; {
		c, err := l.await(ctx)
		if err != nil {
			return err
		}
		before := at
		err = l.fetchOn(ctx, c, f, &at, &size)
		var taken *takeError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &taken):
			return taken.error
		case ctx.Err() != nil:
			return ctx.Err()
		case lastsForFetch(err):
			return fmt.Errorf("fetch %s: %w", f.File, err)
		}
		if at-before >= leastPiece {
			left, pause = fetchTries, fetchPause
		} else if left--; left == 0 {
			return fmt.Errorf("fetch %s: %w", f.File, err)
		}
		select {
		case <-time.After(max(pause, retryAfter(err))):
			pause *= 2
		case <-ctx.Done():
			return ctx.Err()
		case <-l.ctx.Done():
			return linkerr.ErrClosed
		}
	}
}

// takeError is an error of Take.
type takeError struct{ error }

// lastsForFetch reports whether trying again can not help.
func lastsForFetch(err error) bool {
	for _, is := range []error{ErrNoFetch, linkerr.ErrNoFile, linkerr.ErrUnauthorized, linkerr.ErrUnknownBundle, ErrBudget, linkerr.ErrProtocol} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// await returns the connection of the moment, or waits for the next.
func (l *Link) await(ctx context.Context) (*Client, error) {
	for {
		judged := l.Changed() // also by a dial that was refused
		l.mu.Lock()
		c, changed, st := l.client, l.changed, l.status
		l.mu.Unlock()
		if c != nil && c.Err() == nil {
			return c, nil
		}
		if err := l.meter.Spent(); err != nil {
			return nil, err
		}
		if st.Refused {
			return nil, st.Err
		}
		l.markDemand()
		select {
		case <-changed:
		case <-judged:
		case <-time.After(demandFor / 2): // to go on wanting it
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.ctx.Done():
			return nil, linkerr.ErrClosed
		}
	}
}

// fetchOn fetches on one connection, over one stream.
func (l *Link) fetchOn(ctx context.Context, c *Client, f Fetch, at *int64, size *int) error {
	if w, ok := c.Welcome(); ok && !servesFiles(w, f.Bundle) {
		return fmt.Errorf("%w: update it, or let it serve them (--pull-rate)", ErrNoFetch)
	}
	stream, err := c.conn.OpenStream(ctx, transport.UrgencyFiles)
	if err != nil {
		return c.lost(err)
	}
	stop := context.AfterFunc(ctx, func() {
		stream.CancelRead(transport.CodeShutdown)
		stream.CancelWrite(transport.CodeShutdown)
	})
	defer func() {
		stop()
		stream.Close()
		stream.CancelRead(transport.CodeShutdown)
	}()
	r := wire.NewReader(stream, wire.MaxPiece)
	for total := int64(-1); total < 0 || *at < total; {
		if err := l.holdFetch(ctx, c); err != nil {
			return err
		}
		began := time.Now()
		c.fetching.Add(1)
		token(l.owing) // from now on something is
		p, err := askPiece(stream, r, &wire.Fetch{
			Bundle: f.Bundle, File: f.File, Offset: uint64(*at), Length: uint32(*size), Epoch: c.conf.Epoch,
		})
		c.fetching.Add(-1)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return c.silent(f.File)
		}
		if err != nil {
			return c.fetchError(err)
		}
		if err := checkPiece(p, f, *at, *size, total); err != nil {
			c.noteBreach(err)
			return linkerr.At(c.conf.Addr, err)
		}
		total = int64(p.Total)
		if err := f.Take(total, p.Data); err != nil {
			return &takeError{err}
		}
		*at += int64(len(p.Data))
		*size = nextPiece(*size, time.Since(began)-c.Stats().SmoothedRTT)
	}
	return nil
}

func servesFiles(w wire.Welcome, id wire.Hash) bool {
	for _, b := range w.Bundles {
		if b.ID == id {
			return b.Bytes > 0
		}
	}
	return true // it will say what it thinks of that
}

// holdFetch lets whoever wants the cloud go first, for a while, and looks at the
// budget.
func (l *Link) holdFetch(ctx context.Context, c *Client) error {
	if l.conf.Budget.Metered {
		l.meter.Count(c)
		if err := l.meter.Spent(); err != nil {
			return err
		}
	}
	longest := time.NewTimer(asksFirst)
	defer longest.Stop()
	for {
		settled := c.settled.Next()
		var quiet <-chan time.Time // nil while an ask waits
		if asks, _ := c.owed(); asks == 0 {
			left := quietFor - time.Since(time.Unix(0, l.wanted.Load()))
			if left <= 0 {
				return nil
			}
			quiet = time.After(left)
		}
		select {
		case <-longest.C:
			return nil
		case <-settled:
		case <-quiet:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.Done():
			return c.Err()
		}
	}
}

// askPiece asks for one piece and waits for it.
func askPiece(stream transport.Stream, r *wire.Reader, m *wire.Fetch) (*wire.Piece, error) {
	b, err := wire.Append(nil, m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", linkerr.ErrProtocol, err)
	}
	late := time.AfterFunc(pieceLimit, func() { stream.CancelWrite(transport.CodeShutdown) }) // a cloud need not read
	_, err = stream.Write(b)
	late.Stop()
	if err != nil {
		return nil, err
	}
	stream.SetReadDeadline(time.Now().Add(pieceLimit))
	reply, err := r.Next()
	stream.SetReadDeadline(time.Time{})
	switch reply := reply.(type) {
	case *wire.Piece:
		return reply, nil
	case *wire.Error:
		return nil, linkerr.Remote(reply)
	case nil:
		return nil, linkerr.AsBreach(err)
	}
	return nil, linkerr.Breach("a message of type %#x came for a piece of a file", reply.Type())
}

// checkPiece compares a piece with what was asked for.
func checkPiece(p *wire.Piece, f Fetch, at int64, size int, total int64) error {
	switch {
	case int64(p.Offset) != at || len(p.Data) > size:
		return linkerr.Breach("%d bytes from %d of %s came, at most %d from %d were asked for", len(p.Data), p.Offset, f.File, size, at)
	case int64(p.Total) > f.Most:
		return linkerr.Breach("%s has %d bytes, it may have %d", f.File, p.Total, f.Most)
	case total >= 0 && int64(p.Total) != total:
		return linkerr.Breach("%s had %d bytes and now has %d", f.File, total, p.Total)
	case len(p.Data) == 0 && at < int64(p.Total):
		return linkerr.Breach("nothing came of %s from %d", f.File, at)
	}
	return nil
}

// nextPiece is how large the next piece may be after one of size bytes took so
// long beyond a round trip.
func nextPiece(size int, took time.Duration) int {
	switch {
	case took < pieceTime/2:
		size *= 2
	case took > 2*pieceTime:
		size /= 2
	}
	return min(max(size, leastPiece), wire.MaxPiece)
}

// fetchError is err with what it says of the cloud: one that does not know the
// request is too old.
func (c *Client) fetchError(err error) error {
	var r *linkerr.RemoteError
	switch {
	case errors.As(err, &r) && r.Code == wire.CodeProtocol:
		return linkerr.At(c.conf.Addr, fmt.Errorf("%w: update it (%s)", ErrNoFetch, r.Text))
	case errors.As(err, &r):
		return linkerr.At(c.conf.Addr, err)
	case c.noteBreach(err):
		return linkerr.At(c.conf.Addr, err)
	}
	return c.lost(err)
}

// silent is the error of a piece that did not come in time.
func (c *Client) silent(file string) error {
	return linkerr.Lost(c.conf.Addr, fmt.Errorf("nothing came of %s for %v", file, pieceLimit))
}
