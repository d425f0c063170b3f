package transport

import (
	"testing"

	"github.com/quic-go/quic-go"
)

// TestWindowsAreShared: what one connection was granted another does not get,
// until it has ended.
func TestWindowsAreShared(t *testing.T) {
	w := newWindows(100)
	a, b := new(quic.Conn), new(quic.Conn)
	for _, step := range []struct {
		c     *quic.Conn
		delta uint64
		want  bool
	}{{a, 60, true}, {b, 41, false}, {b, 40, true}, {a, 1, false}} {
		if got := w.allow(step.c, step.delta); got != step.want {
			t.Fatalf("%d more: %v, with %d left", step.delta, got, w.left)
		}
	}
	w.release(a)
	w.release(a)
	if !w.allow(b, 60) || w.left != 0 {
		t.Errorf("%d left after one ended", w.left)
	}
}
