package decode

import (
	"bytes"
	"sync"
	"time"
)

// readBytes is well beyond any cache, and what a small board can spare.
const readBytes = 256 << 20

// reader measures the memory's sustained read bandwidth.
type reader struct {
	parts [][]byte // one a thread
}

func newReader(threads int) *reader {
	all := bytes.Repeat([]byte{1}, readBytes)
	r := &reader{}
	for i := range threads {
		r.parts = append(r.parts, all[i*len(all)/threads:(i+1)*len(all)/threads])
	}
	return r
}

// read goes once through the array, on all threads, and returns bytes a second.
// The search for a byte that is not there is the library's vectorised loop: it
// does nothing but read.
func (r *reader) read() float64 {
	var wg sync.WaitGroup
	start := time.Now()
	for _, p := range r.parts {
		wg.Go(func() { bytes.IndexByte(p, 0) })
	}
	wg.Wait()
	return readBytes / time.Since(start).Seconds()
}
