package partition

import (
	"sync"

	"skerry/cloudlink/wire"
)

// maxOutbox is what a board may leave unread, in bytes, before its session
// ends: answers are made by the scheduler, which waits for nobody.
const maxOutbox = 32 << 20

// outbox queues frames for a session stream.
type outbox struct {
	mu     sync.Mutex // guards all following
	wake   *sync.Cond
	frames []byte
	closed bool
}

func newOutbox() *outbox {
	o := &outbox{}
	o.wake = sync.NewCond(&o.mu)
	return o
}

// put queues m, and reports false when the board has left too much unread.
func (o *outbox) put(m wire.Message) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return true
	}
	b, err := wire.Append(o.frames, m)
	if err != nil || len(b) > maxOutbox {
		return false
	}
	o.frames = b
	o.wake.Signal()
	return true
}

// close lets take return what is left and then nothing. Only the first last,
// which may be nil, is sent.
func (o *outbox) close(last wire.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	if last != nil {
		if b, err := wire.Append(o.frames, last); err == nil {
			o.frames = b
		}
	}
	o.closed = true
	o.wake.Signal()
}

// take waits for frames and returns them, nil when none will come.
func (o *outbox) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.frames) == 0 && !o.closed {
		o.wake.Wait()
	}
	b := o.frames
	o.frames = nil
	return b
}
