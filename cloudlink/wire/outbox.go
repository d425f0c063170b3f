package wire

import (
	"errors"
	"sync"
)

// ErrFull is returned by Outbox.Put when the peer has left too much unread.
var ErrFull = errors.New("the peer leaves its messages unread")

// Outbox queues messages for a stream, so that who sends one never waits for
// the network. Its methods may be called concurrently.
type Outbox struct {
	limit int // bytes

	mu     sync.Mutex // guards all following
	wake   *sync.Cond
	frames []byte
	taken  int // bytes that Take returned last
	closed bool
}

// NewOutbox returns an empty outbox that holds at most limit bytes; 0 is no
// limit.
func NewOutbox(limit int) *Outbox {
	o := &Outbox{limit: limit}
	o.wake = sync.NewCond(&o.mu)
	return o
}

// Put queues m; a closed outbox ignores it. It returns ErrFull, or Append's
// error for a message that cannot be sent.
func (o *Outbox) Put(m Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil
	}
	b, err := Append(o.frames, m)
	if err != nil {
		return err
	}
	if o.limit > 0 && len(b) > o.limit {
		return ErrFull
	}
	o.frames = b
	o.wake.Signal()
	return nil
}

// Close lets Take return what is left, with last at its end unless that is nil,
// and then nothing. Only the first call counts.
func (o *Outbox) Close(last Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	if last != nil {
		if b, err := Append(o.frames, last); err == nil {
			o.frames = b
		}
	}
	o.closed = true
	o.wake.Signal()
}

// Closed reports whether o ignores what is put.
func (o *Outbox) Closed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

// Take waits for frames and returns them, nil when none will come.
func (o *Outbox) Take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taken = 0
	for len(o.frames) == 0 && !o.closed {
		o.wake.Wait()
	}
	b := o.frames
	o.frames, o.taken = nil, cap(b)
	return b
}

// Sent says that what was taken last is held no longer.
func (o *Outbox) Sent() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taken = 0
}

// Held returns the memory of what waits and of what was taken last, which
// counts until Sent or Take is called.
func (o *Outbox) Held() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return cap(o.frames) + o.taken
}

// Abort drops what waits and closes o.
func (o *Outbox) Abort() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.frames, o.closed = nil, true
	o.wake.Signal()
}
