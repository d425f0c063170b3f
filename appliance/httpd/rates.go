package httpd

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxClients whose rates are known at once; some 200 bytes each.
const maxClients = 4096

// rates bounds the requests of each client.
type rates struct {
	limit rate.Limit
	burst int
	now   func() time.Time

	mu      sync.Mutex // guards all following fields
	clients map[netip.Addr]*rate.Limiter
}

func newRates(perSecond float64, burst int, now func() time.Time) *rates {
	limit := rate.Limit(perSecond)
	if perSecond <= 0 {
		limit = rate.Inf
	}
	return &rates{limit: limit, burst: burst, now: now, clients: map[netip.Addr]*rate.Limiter{}}
}

// allow takes one request in, or says how long the client is to wait.
func (r *rates) allow(client netip.Addr) (wait time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	l := r.clients[client]
	if l == nil {
		r.makeRoom(now)
		l = rate.NewLimiter(r.limit, r.burst)
		r.clients[client] = l
	}
	v := l.ReserveN(now, 1)
	if wait = v.DelayFrom(now); wait > 0 {
		v.CancelAt(now)
		return wait, false
	}
	return 0, true
}

// makeRoom forgets, where the table is full, the client that has been quiet longest
// of some that chance picks: looking at all would be work that strangers cause.
func (r *rates) makeRoom(now time.Time) {
	if len(r.clients) < maxClients {
		return
	}
	var quiet netip.Addr
	most, picked := math.Inf(-1), 0
	for c, l := range r.clients { // in random order
		if tokens := l.TokensAt(now); tokens > most {
			quiet, most = c, tokens
		}
		if picked++; picked == 16 {
			break
		}
	}
	delete(r.clients, quiet)
}
