package transport

import (
	"context"
	"errors"
	"net"
	"sync"
)

// bothListeners accepts on UDP and TCP.
type bothListeners struct {
	Listener // on UDP, whose address it has
	tcp      Listener
	got      chan arrival
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

type arrival struct {
	conn Conn
	err  error
}

// Both returns a listener of what udp and tcp accept, and owns both. Its
// address is udp's.
func Both(udp, tcp Listener) Listener {
	b := &bothListeners{Listener: udp, tcp: tcp, got: make(chan arrival)}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	for _, ln := range []Listener{udp, tcp} {
		b.wg.Go(func() { b.accept(ln) })
	}
	return b
}

func (b *bothListeners) accept(ln Listener) {
	for {
		c, err := ln.Accept(b.ctx)
		select {
		case b.got <- arrival{c, err}:
		case <-b.ctx.Done():
			if c != nil {
				c.Close(CodeShutdown, "stopping")
			}
			return
		}
		if err != nil {
			return
		}
	}
}

func (b *bothListeners) Accept(ctx context.Context) (Conn, error) {
	select {
	case a := <-b.got:
		return a.conn, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-b.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (b *bothListeners) Close() error {
	err := errors.Join(b.Listener.Close(), b.tcp.Close())
	b.cancel()
	b.wg.Wait()
	return err
}
