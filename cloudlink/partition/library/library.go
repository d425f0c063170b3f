// Package library serves pieces of the files of bundles, at a pace that all boards share.
package library

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/time/rate"

	"skerry/cloudlink/wire"
)

// fetchWait bounds how long a piece waits for its turn before it is refused as busy.
const fetchWait = 5 * time.Second

// File is one file of a bundle that boards may fetch.
type File struct {
	Name  string // as wire.FileName takes it
	Path  string
	Bytes int64
	// Extra says that a board can do without it, as the whole model; it is not
	// counted in what Welcome says a board gets.
	Extra bool
}

// Library is the files of all bundles and the pace at which they are served.
type Library struct {
	files map[wire.Hash]map[string]File
	pace  *rate.Limiter // bytes, of all boards together; nil: nothing is served
}

// New returns a library without files. Of them all boards together get so many bytes a
// second; below 0 none are served.
func New(bytesPerSecond int) *Library {
	l := &Library{files: map[wire.Hash]map[string]File{}}
	if bytesPerSecond >= 0 {
		l.pace = rate.NewLimiter(rate.Limit(bytesPerSecond), max(bytesPerSecond, wire.MaxPiece))
	}
	return l
}

// Add adds the files of a bundle, before anybody reads.
func (l *Library) Add(bundle wire.Hash, files []File) {
	l.files[bundle] = map[string]File{}
	for _, f := range files {
		l.files[bundle][f.Name] = f
	}
}

// errGone refuses a piece for a board that no longer waits.
var errGone = &wire.Error{Code: wire.CodeStale, Text: "the connection ended while a piece waited for its turn"}

// Reader reads pieces for one board and keeps the file of the last one open.
type Reader struct {
	*Library
	of   File
	open *os.File
	buf  []byte
}

// NewReader returns a reader, to be closed.
func (l *Library) NewReader() *Reader { return &Reader{Library: l} }

// Close closes the file that is open, if any.
func (p *Reader) Close() {
	if p.open != nil {
		p.open.Close()
		p.open = nil
	}
}

// Read waits for the pace and returns what m asks for, whose bytes are good until the next
// call; or why not, also once gone is closed.
func (p *Reader) Read(m *wire.Fetch, gone <-chan struct{}) (*wire.Piece, *wire.Error) {
	if p.pace == nil {
		return nil, &wire.Error{Code: wire.CodeUnauthorized, Text: "this cloud serves no files of bundles"}
	}
	files, ok := p.files[m.Bundle]
	if !ok {
		return nil, &wire.Error{Code: wire.CodeUnknownBundle, Text: "bundle " + m.Bundle.String() + " is not served here"}
	}
	f, ok := files[m.File]
	if !ok {
		return nil, &wire.Error{Code: wire.CodeNoFile, Text: "the cloud has no file " + m.File + " of this bundle"}
	}
	if m.Offset > uint64(f.Bytes) {
		return nil, &wire.Error{Code: wire.CodeNoFile, Text: fmt.Sprintf("%s has %d bytes", m.File, f.Bytes)}
	}
	n := int(min(uint64(m.Length), uint64(f.Bytes)-m.Offset))
	if refused := p.wait(n, gone); refused != nil {
		return nil, refused
	}
	if p.open == nil || p.of.Path != f.Path {
		p.Close()
		var err error
		if p.open, err = os.Open(f.Path); err != nil {
			return nil, &wire.Error{Code: wire.CodeNoFile, Text: "the cloud cannot read " + m.File + " any more"}
		}
		if st, err := p.open.Stat(); err != nil || st.Size() != f.Bytes {
			p.Close()
			return nil, &wire.Error{Code: wire.CodeNoFile, Text: m.File + " was changed since the cloud was started: restart the cloud"}
		}
		p.of = f
	}
	if cap(p.buf) < n {
		p.buf = make([]byte, n)
	}
	p.buf = p.buf[:n]
	if _, err := p.open.ReadAt(p.buf, int64(m.Offset)); err != nil && !(errors.Is(err, io.EOF) && n == 0) {
		return nil, &wire.Error{Code: wire.CodeNoFile, Text: "the cloud cannot read " + m.File + " any more"}
	}
	return &wire.Piece{Offset: m.Offset, Total: uint64(f.Bytes), Data: p.buf}, nil
}

// wait has n bytes wait for their turn among what all boards fetch.
func (p *Reader) wait(n int, gone <-chan struct{}) *wire.Error {
	turn := p.pace.ReserveN(time.Now(), n)
	wait := turn.Delay()
	if wait > fetchWait {
		turn.Cancel()
		return &wire.Error{Code: wire.CodeBusy, RetryAfter: uint64(wait.Milliseconds()), Text: "many boards fetch files at present"}
	}
	if wait == 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-gone:
		return errGone
	}
}
