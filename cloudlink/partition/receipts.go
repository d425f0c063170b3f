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
	pending chan struct{} // holds one token when anything is due
	urgent  chan struct{} // holds one token when much is due

	mu          sync.Mutex // guards all following
	bytes       int
	unconfirmed map[*session]struct{}
}

func newReceipts() *receipts {
	return &receipts{
		pending: make(chan struct{}, 1), urgent: make(chan struct{}, 1), unconfirmed: map[*session]struct{}{},
	}
}

// arrived records that n bytes of s have arrived.
func (r *receipts) arrived(s *session, n int) {
	r.mu.Lock()
	r.unconfirmed[s] = struct{}{}
	r.bytes += n
	much := r.bytes >= receiptBytes
	r.mu.Unlock()
	signal(r.pending)
	if much {
		signal(r.urgent)
	}
}

func signal(c chan struct{}) {
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
		case <-r.pending:
		}
		timer.Reset(receiptEvery)
		select {
		case <-done:
			return
		case <-timer.C:
		case <-r.urgent:
		}
		if r.flush(control) != nil {
			return
		}
	}
}

// flush writes one receipt for each session that has something to confirm.
func (r *receipts) flush(control io.Writer) error {
	r.mu.Lock()
	unsaid := r.unconfirmed
	r.unconfirmed, r.bytes = map[*session]struct{}{}, 0
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
