// Package fleet joins several cloud workers by an etcd cluster: who is alive, which worker a
// board belongs to, and what all of them must know of boards.
//
// A worker holds a lease and, under it, a record of itself (workers.go). A board is claimed
// by one worker at a time with one transaction (claims.go): all sessions of a board come over
// one connection, so that the board is what is claimed, not each session. The revision of the
// claim is the fencing token: it only grows, and a board refuses a worker whose claim is older
// than one that it has seen. What all workers know of boards is kept sealed (shared.go).
//
// The token comes once a connection, with its Welcome, and not in every message: every message
// has the epoch, which is of one connection and so of one claim, and both sides drop what is of
// another epoch. A worker that was stopped in mid-pass and goes on therefore writes into a
// context of its own that no board relies on, and answers on a connection that its board has
// left (TestPausedWorkerDoesNoHarm).
//
// No token, text or hidden state comes here, and nothing here is needed to answer a board that
// is connected: while etcd is away, boards stay with the worker they have.
//
// Only the client of etcd is linked from here; package fleettest, for tests, has the server.
package fleet

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	etcd "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"skerry/cloudlink/fleet/place"
)

const (
	defaultTTL      = 5 * time.Second
	defaultPatience = 2 * time.Second
	// retryEvery is how often an etcd that does not answer is asked again.
	retryEvery = 500 * time.Millisecond
	// pastKept is how many leases this process knows as its own beside the newest.
	pastKept = 16
	// root is what all keys begin with.
	root = "/skerry/1/"
)

// ErrUnavailable says that etcd does not answer: what is claimed stays, and nothing new can be.
var ErrUnavailable = errors.New("the fleet's etcd does not answer")

// Options say how to join a fleet. Endpoints, Self.Address and Secret are needed.
type Options struct {
	Endpoints []string    // URLs of etcd's members
	TLS       *tls.Config // this worker's certificate and etcd's authority; nil for http
	Self      Worker      // what others are told of this worker
	Secret    []byte      // 32 bytes that all workers share, with which records are sealed
	// TTL is how long a worker that is not heard of counts as alive; default 5 s. Whole
	// seconds.
	TTL time.Duration
	// Patience bounds a call of etcd that a board waits for; default 2 s.
	Patience time.Duration
	Log      *slog.Logger // default: none
	// Lost is called for a board that another worker has claimed since: its connections here
	// must end. It must not call the Fleet. nil: nobody is told.
	Lost func(device, owner string)
}

// Fleet is this worker's place among the others. Its methods may be called concurrently.
type Fleet struct {
	opt    Options
	log    *slog.Logger
	etcd   *etcd.Client
	sealer sealer
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	poke   chan struct{} // holds one token: the keeper has something to do

	released atomic.Uint64 // boards
	draws    *rate.Limiter // from quotas
	granting sync.Mutex    // held while the lease of quotas is looked up or taken

	mu      sync.Mutex // guards all following
	self    Worker
	stale   bool           // the record in etcd is not self
	lease   etcd.LeaseID   // 0: none is held
	past    []etcd.LeaseID // that this process held
	heard   time.Time      // when etcd last confirmed the lease
	err     error          // why it did not since
	joined  chan struct{}  // closed once a lease was held and the workers were read
	joining sync.Once
	anew    chan struct{}     // closed, and made anew, when what is followed must be read again
	workers map[string]Worker // by address
	claims  map[string]int64  // by device: the revision of a claim of this worker
	later   place.Later       // when boards come again that were not claimed

	buckets   etcd.LeaseID // of quotas; 0: none yet
	bucketsAt time.Time    // when it was granted
}

// Join connects to etcd in the background and returns at once; Ready waits. The error says
// what of the options cannot be.
func Join(opt Options) (*Fleet, error) {
	opt.TTL, opt.Patience = cmp.Or(opt.TTL, defaultTTL), cmp.Or(opt.Patience, defaultPatience)
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if len(opt.Endpoints) == 0 || opt.Self.Address == "" {
		return nil, errors.New("fleet: an address of etcd and one of this worker are needed")
	}
	sealer, err := newSealer(opt.Secret)
	if err != nil {
		return nil, err
	}
	f := &Fleet{
		opt: opt, log: opt.Log, sealer: sealer, self: opt.Self, poke: make(chan struct{}, 1), joined: make(chan struct{}), anew: make(chan struct{}),
		workers: map[string]Worker{}, claims: map[string]int64{}, draws: newDraws(),
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.etcd, err = etcd.New(etcd.Config{
		Endpoints: opt.Endpoints, TLS: opt.TLS, Context: f.ctx, Logger: zap.NewNop(),
		DialTimeout: opt.Patience, DialKeepAliveTime: opt.TTL, DialKeepAliveTimeout: opt.Patience, MaxUnaryRetries: 1,
		// An etcd that is back is found within a second, however long it was away.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: opt.Patience,
		})},
	})
	if err != nil {
		f.cancel()
		return nil, fmt.Errorf("fleet: %w", err)
	}
	f.wg.Go(f.keep)
	f.wg.Go(f.watchWorkers)
	f.wg.Go(f.watchTaken)
	return f, nil
}

// Ready waits until this worker is one of the fleet. The error is of ctx, and says why etcd
// did not answer.
func (f *Fleet) Ready(ctx context.Context) error {
	select {
	case <-f.joined:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w (%v): %w", ErrUnavailable, f.Status().Err, ctx.Err())
	}
}

// Close leaves the fleet: what this worker claimed is free at once, where etcd answers.
func (f *Fleet) Close() error {
	f.mu.Lock()
	lease := f.lease
	f.lease = 0
	f.mu.Unlock()
	if lease != 0 {
		ctx, cancel := context.WithTimeout(f.ctx, f.opt.Patience)
		f.etcd.Revoke(ctx, lease)
		cancel()
	}
	f.cancel()
	err := f.etcd.Close()
	f.wg.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Status is how this worker stands in the fleet.
type Status struct {
	Connected bool      // etcd has confirmed the lease, and it has not run out since
	Heard     time.Time // when it last did
	Err       error     // why it did not since, nil where it did
	Workers   []Worker  // that live, by address, this one included
	Claims    int       // boards that belong to this worker
	Released  uint64    // boards that it has given up since it joined, as they had gone
}

// Status returns how this worker stands.
func (f *Fleet) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Status{
		Connected: f.connected(), Heard: f.heard, Err: f.err, Workers: f.list(), Claims: len(f.claims), Released: f.released.Load(),
	}
}

// connected reports whether the lease is held as far as is known; mu is held.
func (f *Fleet) connected() bool { return f.lease != 0 && time.Since(f.heard) < f.opt.TTL }

// keep holds the lease until Close.
func (f *Fleet) keep() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-f.ctx.Done():
			return
		case <-f.poke:
		case <-timer.C:
		}
		wait := f.opt.TTL / 3
		if err := f.confirm(); err != nil && f.ctx.Err() == nil {
			wait = retryEvery
			f.mu.Lock()
			if f.err == nil {
				f.log.Warn("the fleet's etcd does not answer: boards stay where they are, and none is taken from another worker", "err", err)
			}
			f.err = err
			f.mu.Unlock()
		}
		timer.Reset(wait)
	}
}

// confirm has etcd confirm the lease, or takes a new one, and writes the worker's record.
func (f *Fleet) confirm() error {
	ctx, cancel := context.WithTimeout(f.ctx, min(f.opt.Patience, f.opt.TTL))
	defer cancel()
	f.mu.Lock()
	lease, self, stale := f.lease, f.self, f.stale
	f.mu.Unlock()
	began := time.Now()
	if lease != 0 {
		_, err := f.etcd.KeepAliveOnce(ctx, lease)
		switch {
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			f.log.Warn("the lease of this worker has run out: taking another")
			lease = 0
		case err != nil:
			return err
		}
	}
	fresh := lease == 0
	if fresh {
		granted, err := f.etcd.Grant(ctx, max(int64(f.opt.TTL/time.Second), 1))
		if err != nil {
			return err
		}
		lease, stale = granted.ID, true
	}
	if stale {
		self.Lease = int64(lease)
		if _, err := f.etcd.Put(ctx, workerKey(self.Address), string(self.encode()), etcd.WithLease(lease)); err != nil {
			return err
		}
	}
	f.mu.Lock()
	if f.err != nil {
		f.log.Info("the fleet's etcd answers again")
	}
	if fresh {
		if len(f.past) > 0 { // etcd was away, or is another that counts its changes from the start
			close(f.anew)
			f.anew = make(chan struct{})
		}
		f.past = append(f.past[max(len(f.past)-pastKept, 0):], lease)
		f.lease = lease
	}
	f.heard, f.err = began, nil
	f.stale = f.stale && f.self.version != self.version
	f.workers[self.Address] = self
	f.mu.Unlock()
	if fresh {
		f.wg.Go(func() { f.reclaim(lease) }) // which may take longer than a lease lasts
	}
	return nil
}

// wake has the keeper look at once.
func (f *Fleet) wake() {
	select {
	case f.poke <- struct{}{}:
	default:
	}
}

// call is the time of a call that a board waits for.
func (f *Fleet) call(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, f.opt.Patience)
	stop := context.AfterFunc(f.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// unavailable is the error of a call of etcd.
func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }
