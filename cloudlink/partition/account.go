package partition

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"skerry/cloudlink/internal/loglimit"
	"skerry/cloudlink/partition/sched"
)

// account is what the server keeps of one device. The devices that can be told
// apart are those with a certificate, so that accounts are kept for good, and
// coming back renews no quota.
type account struct {
	device      string
	unconfirmed bool // stands for everyone whose connection is not confirmed
	quota       Quota
	rate        *rate.Limiter // of rows, nil for no bound
	share       *share        // of the quota that all workers give together; nil: there are no others
	askRate     *rate.Limiter // of asks and branches taken
	log         *slog.Logger  // bounded per minute

	connections, sessions, streams atomic.Int64 // now
	queued, outputs, askBytes      atomic.Int64 // bytes now
	waiting                        atomic.Int64 // asks now
	fetches                        atomic.Int64 // streams of files now
	rows, answers                  atomic.Uint64
	refused, busy, throttled       atomic.Uint64
	heldBack                       atomic.Bool  // by the rate
	reported                       atomic.Int64 // when its last status was kept, Unix ns
	trouble                        atomic.Pointer[string]

	makingLarge sync.Mutex // held while a large answer is made: one at a time

	// guarded by Server.mu
	present int       // connections, those included whose handshake is not over
	left    time.Time // when the last one ended
}

// newcomer stands for a device that has nothing here.
var newcomer = newAccount("", Quota{}, slog.New(slog.DiscardHandler))

// newAccount makes the account of a device, whose lines go to log.
func newAccount(device string, q Quota, log *slog.Logger) *account {
	a := &account{device: device, quota: q, log: new(loglimit.Limiter).Logger(log)}
	a.askRate = rate.NewLimiter(maxAskRate, maxAskRate)
	if device != "" {
		a.log = a.log.With("device", device)
	}
	if q.Rows > 0 {
		// A quarter of a minute's rows may come at once.
		a.rate = rate.NewLimiter(rate.Limit(q.Rows)/60, max(q.Rows/4, 1))
	}
	return a
}

// spend takes n rows off the quota. It is the only place where a quota is
// spent: what may not come from the device itself must not get here.
func (a *account) spend(n int, now time.Time) {
	a.rows.Add(uint64(n))
	if a.rate == nil {
		return
	}
	if a.share != nil {
		a.share.spend(n)
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
	at, known := now, true
	if have := a.rate.TokensAt(now); have < 1 {
		// Rounded up, so that the row is allowed when the time has come.
		at = now.Add(sched.Seconds((1-have)/float64(a.rate.Limit())) + time.Microsecond)
	} else if a.share != nil {
		at, known = a.share.allowedAt(now)
	}
	switch {
	case !known: // it may be held back or not, as it was
	case !at.After(now):
		a.heldBack.Store(false)
	case !a.heldBack.Swap(true):
		a.throttled.Add(1)
	}
	return at
}

// setTrouble keeps what the operator has to see to, in place of what there was.
func (a *account) setTrouble(trouble string) { a.trouble.Store(&trouble) }

func (a *account) stats() DeviceStats {
	trouble := ""
	if t := a.trouble.Load(); t != nil {
		trouble = *t
	}
	return DeviceStats{
		Device: a.device, Connections: int(a.connections.Load()), Sessions: int(a.sessions.Load()), Streams: int(a.streams.Load()),
		Queued: a.queued.Load(), Outputs: a.outputs.Load(), Asks: a.askBytes.Load(), Rows: a.rows.Load(), Answers: a.answers.Load(),
		Refused: a.refused.Load(), Busy: a.busy.Load(), Throttled: a.throttled.Load(),
		Trouble: trouble,
	}
}

// accounts are the server's, by device.
type accounts struct {
	quota Quota
	log   *slog.Logger
	share func(device string) *share // nil: quotas are this server's alone

	mu sync.Mutex // guards all following
	by map[string]*account
}

// of returns the account of a device, made on first use.
func (a *accounts) of(device string) *account {
	a.mu.Lock()
	defer a.mu.Unlock()
	acc := a.by[device]
	if acc == nil {
		acc = newAccount(device, a.quota, a.log)
		if a.share != nil && a.quota.Rows > 0 {
			acc.share = a.share(device)
		}
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
