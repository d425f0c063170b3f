package partition

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// account is what the server keeps of one device. The devices that can be told
// apart are those with a certificate, so that accounts are kept for good, and
// coming back renews no quota.
type account struct {
	device string
	unsure bool // stands for everyone whose connection is not confirmed
	quota  Quota
	rate   *rate.Limiter // of rows, nil for no bound
	logs   *rate.Limiter // of what it does wrong

	connections, sessions, streams atomic.Int64 // now
	queued, outputs                atomic.Int64 // bytes now
	rows, answers                  atomic.Uint64
	refused, busy, throttled       atomic.Uint64
	heldBack                       atomic.Bool // by the rate
}

// newcomer stands for a device that has nothing here.
var newcomer = newAccount("", Quota{})

func newAccount(device string, q Quota) *account {
	a := &account{device: device, quota: q, logs: rate.NewLimiter(1, 30)}
	if q.Rows > 0 {
		// A quarter of a minute's rows may come at once.
		a.rate = rate.NewLimiter(rate.Limit(q.Rows)/60, max(q.Rows/4, 1))
	}
	return a
}

// spend takes n rows off the quota. It is the only place where a quota is
// spent: what is not sure to come from the device itself must not get here.
func (a *account) spend(n int, now time.Time) {
	a.rows.Add(uint64(n))
	if a.rate == nil {
		return
	}
	for burst := a.rate.Burst(); n > 0; n -= burst {
		a.rate.ReserveN(now, min(n, burst)) // into debt, which time pays
	}
}

// allowedAt returns from when on the device may have rows computed, now or
// later.
func (a *account) allowedAt(now time.Time) time.Time {
	if a.rate == nil {
		return now
	}
	have := a.rate.TokensAt(now)
	if have >= 1 {
		a.heldBack.Store(false)
		return now
	}
	if !a.heldBack.Swap(true) {
		a.throttled.Add(1)
	}
	// Rounded up, so that a token is there when the time has come.
	return now.Add(seconds((1-have)/float64(a.rate.Limit())) + time.Microsecond)
}

func (a *account) stats() DeviceStats {
	return DeviceStats{
		Device: a.device, Connections: int(a.connections.Load()), Sessions: int(a.sessions.Load()), Streams: int(a.streams.Load()),
		Queued: a.queued.Load(), Outputs: a.outputs.Load(), Rows: a.rows.Load(), Answers: a.answers.Load(),
		Refused: a.refused.Load(), Busy: a.busy.Load(), Throttled: a.throttled.Load(),
	}
}

// accounts are the server's, by device.
type accounts struct {
	quota Quota

	mu sync.Mutex // guards all following
	by map[string]*account
}

// of returns the account of a device, made on first use.
func (a *accounts) of(device string) *account {
	a.mu.Lock()
	defer a.mu.Unlock()
	acc := a.by[device]
	if acc == nil {
		acc = newAccount(device, a.quota)
		if a.by == nil {
			a.by = map[string]*account{}
		}
		a.by[device] = acc
	}
	return acc
}

// all returns the accounts by name.
func (a *accounts) all() []*account {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]*account, 0, len(a.by))
	for _, acc := range a.by {
		out = append(out, acc)
	}
	slices.SortFunc(out, func(x, y *account) int { return cmp.Compare(x.device, y.device) })
	return out
}
