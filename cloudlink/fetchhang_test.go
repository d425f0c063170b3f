package cloudlink

import (
	"context"
	"errors"
	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/transport"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// unread is a connection whose peer reads nothing: every Write waits until it is
// cancelled.
type unread struct {
	transport.Conn
	transport.Stream
	once    sync.Once
	stopped chan struct{}
}

func (u *unread) OpenStream(context.Context, transport.Urgency) (transport.Stream, error) {
	return u, nil
}
func (u *unread) Context() context.Context { return context.Background() }
func (u *unread) Close() error             { return nil }
func (u *unread) CancelRead(uint64)        {}
func (u *unread) CancelWrite(uint64)       { u.once.Do(func() { close(u.stopped) }) }

func (u *unread) Write([]byte) (int, error) {
	<-u.stopped
	return 0, errors.New("cancelled")
}

// unreadConn tells the Close of a connection from that of a stream.
type unreadConn struct{ *unread }

func (unreadConn) Close(uint64, string) error { return nil }

// A cloud that does not even read what is asked for holds a fetch for no longer than
// one that does not answer, and not beyond its context.
func TestFetchFromCloudThatReadsNothing(t *testing.T) {
	for name, c := range map[string]struct{ ends, want time.Duration }{
		"interrupted": {time.Second, time.Second}, "given up": {time.Hour, pieceLimit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.ends)
				defer cancel()
				u := &unread{stopped: make(chan struct{})}
				l := &Link{owing: make(chan struct{}, 1)}
				began, at, size := time.Now(), int64(0), firstPiece
				err := l.fetchOn(ctx, &Client{conn: unreadConn{u}, done: make(chan struct{})}, Fetch{File: "board-1.gguf"}, &at, &size)
				if took := time.Since(began); !errors.Is(err, linkerr.ErrLost) || took > c.want+time.Second {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}
