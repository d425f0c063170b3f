package transport

import (
	"context"
	"net"
	"sync"

	"github.com/quic-go/quic-go"
)

// quicListener hands out connections as soon as their peers are known: a
// resumed one before its handshake is confirmed, any other afterwards.
type quicListener struct {
	ln    *quic.EarlyListener
	grown *windows
	ready chan *quic.Conn
	ctx   context.Context // ends when nothing more is accepted; its cause says why
	end   context.CancelCauseFunc
	wg    sync.WaitGroup
	shut  func() error
}

func newQUICListener(ln *quic.EarlyListener, grown *windows, shut func() error) *quicListener {
	l := &quicListener{ln: ln, grown: grown, ready: make(chan *quic.Conn)}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	l.shut = sync.OnceValue(func() error {
		err := shut()
		l.end(net.ErrClosed)
		l.wg.Wait()
		return err
	})
	l.wg.Go(l.run)
	return l
}

func (l *quicListener) run() {
	for {
		c, err := l.ln.Accept(l.ctx)
		if err != nil {
			l.end(err)
			return
		}
		l.grown.watch(c.Context(), c)
		l.wg.Go(func() { l.deliver(c) })
	}
}

// deliver waits until it is known who c is.
func (l *quicListener) deliver(c *quic.Conn) {
	if !c.ConnectionState().TLS.DidResume {
		select {
		case <-c.HandshakeComplete():
		case <-c.Context().Done():
			return
		}
	}
	select {
	case l.ready <- c:
	case <-c.Context().Done():
	case <-l.ctx.Done():
	}
}

func (l *quicListener) Accept(ctx context.Context) (Conn, error) {
	select {
	case c := <-l.ready:
		return &quicConn{Conn: c}, nil
	case <-l.ctx.Done():
		return nil, context.Cause(l.ctx)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *quicListener) Addr() net.Addr { return l.ln.Addr() }
func (l *quicListener) Close() error   { return l.shut() }
