package transport

import (
	"context"
	"sync"

	"github.com/quic-go/quic-go"
)

// maxWindows is how much the receive windows of all connections of a listener
// together may grow beyond what each begins with, in bytes, unless
// ListenOptions.Windows says otherwise. Past it a connection carries one beginning
// window (768 KiB) a round trip.
const maxWindows = 256 << 20

// windows shares out the growth of receive windows.
type windows struct {
	mu      sync.Mutex // guards all following
	left    uint64
	granted map[*quic.Conn]uint64
}

func newWindows(total uint64) *windows {
	return &windows{left: total, granted: map[*quic.Conn]uint64{}}
}

// allow is quic.Config.AllowConnectionWindowIncrease.
func (w *windows) allow(c *quic.Conn, delta uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if delta > w.left {
		return false
	}
	w.left -= delta
	w.granted[c] += delta
	return true
}

// watch gives back what c was granted once it has ended.
func (w *windows) watch(ctx context.Context, c *quic.Conn) {
	context.AfterFunc(ctx, func() { w.release(c) })
}

func (w *windows) release(c *quic.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left += w.granted[c]
	delete(w.granted, c)
}
