package partition

import (
	"io"
	"sync"
	"time"

	"skerry/cloudlink/wire"
)

// A receipt is due receiptBytes after the last one, and receiptEvery after
// anything arrived at the latest.
const (
	receiptBytes = 64 << 10
	receiptEvery = 20 * time.Millisecond
)

// receipts gathers what has arrived on a connection and was not confirmed yet.
type receipts struct {
	some  chan struct{} // holds one token when anything is due
	hurry chan struct{} // holds one token when much is due

	mu     sync.Mutex // guards all following
	bytes  int
	unsaid map[*session]struct{}
}

func newReceipts() *receipts {
	return &receipts{
		some: make(chan struct{}, 1), hurry: make(chan struct{}, 1), unsaid: map[*session]struct{}{},
	}
}

// note records that n bytes of s have arrived.
func (r *receipts) note(s *session, n int) {
	r.mu.Lock()
	r.unsaid[s] = struct{}{}
	r.bytes += n
	much := r.bytes >= receiptBytes
	r.mu.Unlock()
	token(r.some)
	if much {
		token(r.hurry)
	}
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run writes receipts to the control stream until done.
func (r *receipts) run(control io.Writer, done <-chan struct{}) {
	timer := time.NewTimer(receiptEvery)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		case <-r.some:
		}
		timer.Reset(receiptEvery)
		select {
		case <-done:
			return
		case <-timer.C:
		case <-r.hurry:
		}
		if r.flush(control) != nil {
			return
		}
	}
}

// flush writes one receipt for each session that has something to confirm.
func (r *receipts) flush(control io.Writer) error {
	r.mu.Lock()
	unsaid := r.unsaid
	r.unsaid, r.bytes = map[*session]struct{}{}, 0
	r.mu.Unlock()
	var b []byte
	for s := range unsaid {
		var err error
		if b, err = wire.Append(b, s.receipt()); err != nil {
			return err
		}
	}
	if len(b) == 0 {
		return nil
	}
	_, err := control.Write(b)
	return err
}
