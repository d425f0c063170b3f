package cloudlink

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/wire"
)

// rememberAddresses puts the address that the cloud answered on in an earlier
// run before the others.
func (l *Link) rememberAddresses() {
	l.addrs = slices.Clone(l.conf.Addrs)
	if len(l.addrs) == 0 {
		l.addrs = []string{l.conf.Addr}
	}
	if l.conf.Found != nil {
		last, err := l.conf.Found.LastAddress()
		if err != nil {
			l.log.Warn("where the cloud answered last is not known", "err", err)
		}
		l.prefer(last)
	}
	l.status.Addr = l.addrs[0]
}

// prefer puts an address that is known before the others and reports whether it
// was not there yet; mu is held, or nobody else has l yet.
func (l *Link) prefer(addr string) (moved bool) {
	i := slices.Index(l.addrs, addr)
	if i <= 0 {
		return false
	}
	l.addrs = slices.Insert(slices.Delete(slices.Clone(l.addrs), i, i+1), 0, addr)
	return true
}

// answeredAt notes where the cloud has answered, for the next dial and for the
// next run.
func (l *Link) answeredAt(addr string) {
	l.mu.Lock()
	l.status.Addr = addr
	moved := l.prefer(addr)
	l.mu.Unlock()
	if !moved || l.conf.Found == nil {
		return
	}
	if err := l.conf.Found.SaveAddress(addr); err != nil {
		l.log.Warn("where the cloud answers is not remembered", "cloud", addr, "err", err)
	}
}

// addr is where the cloud is, or answered last.
func (l *Link) addr() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status.Addr
}

// connect dials the addresses of the cloud in turn: the next one as soon as one
// has failed, or beside it once that has had the time for both transports. The
// first that the cloud answers on wins, and the sessions are attached to it.
func (l *Link) connect() (*live, error) {
	addrs, beside := l.targets()
	ctx, cancel := context.WithCancel(l.ctx)
	var wg sync.WaitGroup
	type dialedAt struct {
		dialed
		addr string
	}
	results := make(chan dialedAt, len(addrs))
	started, dialling := 0, map[string]time.Time{} // since when
	timer := time.NewTimer(beside)
	defer timer.Stop()
	next := func() {
		if started == len(addrs) {
			return
		}
		// Sessions go into the first flight of one dial only: another would take
		// them from it.
		addr, early := addrs[started], started == 0
		started++
		dialling[addr] = time.Now()
		timer.Reset(beside)
		wg.Go(func() {
			n, err := l.connectTo(ctx, addr, early)
			results <- dialedAt{dialed{n, err}, addr}
		})
	}
	next()
	var won *live
	var errs []error
	var sent *dialedAt // by a worker that has refused this board, to one that may yet answer
	for won == nil && len(dialling) > 0 {
		select {
		case <-timer.C:
			next()
		case r := <-results:
			delete(dialling, r.addr)
			won = r.live
			if r.err == nil {
				continue
			}
			owner, refused := ownerOf(r.err)
			if !refused && l.ctx.Err() == nil && !isRemote(r.err) {
				l.unreachable(r.addr)
			}
			if refused {
				sent = &r
			} else {
				errs = append(errs, r.err)
			}
			if sent != nil {
				owner, _ = ownerOf(sent.err)
				if l.sentOn(sent.addr, owner, dialling) {
					errs = []error{sent.err}
					clear(dialling)
				}
				continue
			}
			if decided(r.err) {
				errs = []error{r.err}
				clear(dialling)
				continue
			}
			next()
		}
	}
	cancel()
	wg.Wait()
	close(results)
	for r := range results {
		r.close()
	}
	if won == nil {
		return nil, linkerr.OfAddresses(errs)
	}
	if err := l.attach(l.ctx, won.client); err != nil {
		won.client.Close()
		return nil, err
	}
	return won, nil
}

// decided reports whether the cloud itself, whose certificate was checked, has
// said no: its other addresses would say the same.
func decided(err error) bool {
	var r *linkerr.RemoteError
	return errors.As(err, &r) && (r.Code == wire.CodeUnauthorized || r.Code == wire.CodeProtocol || r.Code == wire.CodeStale || r.Code == wire.CodeNotOwner)
}

// isRemote reports whether a cloud has answered, and said no.
func isRemote(err error) bool { return errors.As(err, new(*linkerr.RemoteError)) }
