package cloudlink

import (
	"context"
	"time"
)

// Networks tells when this machine's addresses or routes have changed.
type Networks interface {
	// Watch calls changed after every change until ctx ends. It returns an
	// error when it cannot watch.
	Watch(ctx context.Context, changed func()) error
}

// settle is how long a change may take: an address goes before another comes.
const settle = 50 * time.Millisecond

// watchNetworks tells the connection, or the next dial, of changes.
func (l *Link) watchNetworks() {
	changes := make(chan struct{}, 1)
	l.wg.Go(func() {
		if err := l.conf.Networks.Watch(l.ctx, func() { token(changes) }); err != nil && l.ctx.Err() == nil {
			l.log.Warn("changes of the network go unseen", "err", err)
		}
	})
	timer := time.NewTimer(settle)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-changes:
			timer.Reset(settle)
		case <-timer.C:
			if l.Client() == nil {
				token(l.kick)
			} else {
				token(l.moved)
			}
		}
	}
}

// noNetworks watches nothing.
type noNetworks struct{}

func (noNetworks) Watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return nil
}
