package cloudlink

import (
	"context"
	"fmt"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/transport"
)

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

// migrateTime bounds how long a new path may take to answer.
const migrateTime = 2 * time.Second

// migrate moves a connection to the address this machine now has towards the
// cloud (RFC 9000 section 9). A connection that cannot move is given up, and
// dialled anew.
func (l *Link) migrate(ctx context.Context, cur *live) {
	c := cur.client
	if !transport.AddressChanged(c.conn) {
		c.ping()
		return
	}
	probe, cancel := context.WithTimeout(ctx, migrateTime)
	defer cancel()
	err := transport.Migrate(probe, c.conn)
	switch {
	case ctx.Err() != nil || c.Err() != nil:
	case err != nil:
		c.quit(linkerr.Lost(c.conf.Addr, fmt.Errorf("this machine's address changed, and the connection does not move: %w", err)))
	default:
		l.update(func(st *LinkStatus) { st.Migrations++ })
		l.log.Info("connection moved to another address", "cloud", c.conf.Addr)
		l.tell(Event{Kind: EventMigrated, Transport: cur.transport, Why: "this machine's address changed"})
	}
}
