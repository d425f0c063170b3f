package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/status"
)

const (
	// maxModel is more than any model has, in bytes.
	maxModel = 1 << 44
	// maxModelHeader bounds what is fetched before a header is whole, in bytes.
	maxModelHeader = 64 << 20
	// firstLook is after how many bytes the header is looked at first: enough to
	// tell what is no model at all.
	firstLook = 4
	// trailing is what may follow the last tensor by more than padding, in bytes.
	trailing = 64 << 10
	// gain is what a try has to bring, in bytes, to count as progress.
	gain = 64 << 10
	// trickle is what has to come within Options.Stall, in bytes.
	trickle = 16 << 10
)

// unwantedError is about what has come of a file: it is not wanted, nor is more of it.
type unwantedError struct{ error }

func (e *unwantedError) Unwrap() error { return e.error }

func unwanted(format string, args ...any) error {
	return &unwantedError{fmt.Errorf(format, args...)}
}

// errStalled is wrapped where a server sends next to nothing.
var errStalled = errors.New("the download stalls")

// intake reads what a server sends of a model and bounds it: by the size that the
// server has named, or where it has named none by what the model's own header says,
// and by the disk. It reads the header from the part that has been written so far.
type intake struct {
	r    io.Reader
	part string
	url  string
	have int64 // bytes of the part
	look int64 // the header is looked at once so many are there; 0: no more
	most int64 // bytes the file may have; 0: not known yet
	said bool  // by the server
}

func newIntake(r io.Reader, part, url string, have, size int64) *intake {
	return &intake{r: r, part: part, url: url, have: have, look: max(have, firstLook), most: size, said: size > 0}
}

func (i *intake) Read(p []byte) (int, error) {
	if i.look > 0 && i.have >= i.look {
		if err := i.inspect(); err != nil {
			return 0, err
		}
	}
	room := int64(len(p))
	switch {
	case i.said && i.have >= i.most: // no more, whatever it sends
		return 0, io.EOF
	case i.most > 0:
		room = min(room, i.most-i.have)
	}
	if i.look > i.have {
		room = min(room, i.look-i.have)
	}
	if room == 0 { // the model is whole: is there more?
		n, err := i.r.Read(p[:1])
		if n > 0 {
			return 0, unwanted("%s: the server sends more than the %d bytes that the model has by its header: get it elsewhere", i.url, i.most)
		}
		return 0, err
	}
	n, err := i.r.Read(p[:room])
	i.have += int64(n)
	return n, err
}

// inspect looks at the header of what is there.
func (i *intake) inspect() error {
	f, err := os.Open(i.part)
	if err != nil {
		return err
	}
	defer f.Close()
	size, known, err := gguf.Extent(f, i.have, filepath.Base(i.url))
	switch {
	case err != nil:
		return unwanted("%s: what comes is no model: %w", i.url, err)
	case i.said:
		i.look = 0 // the server's word counts, and the sum at the end
		return nil
	case known:
		i.look, i.most = 0, size+trailing
		return disk.CheckSpace(filepath.Dir(i.part), max(size-i.have, 0))
	case i.have >= maxModelHeader:
		return unwanted("%s: the header of what comes does not end within %s: it is no model", i.url, status.Bytes(int64(maxModelHeader)))
	}
	i.look = max(2*i.have, gain)
	return disk.CheckSpace(filepath.Dir(i.part), i.look-i.have)
}

// watchStall ends a request on which next to nothing comes. came is called with the
// bytes that have come so far.
func watchStall(ctx context.Context, stall time.Duration) (watched context.Context, came func(int64), stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(stall, func() {
		cancel(fmt.Errorf("%w: less than %d KB came within %v", errStalled, trickle>>10, stall))
	})
	counted := int64(0)
	came = func(n int64) {
		if n-counted >= trickle {
			counted = n
			timer.Reset(stall)
		}
	}
	return watched, came, func() {
		timer.Stop()
		cancel(nil)
	}
}
