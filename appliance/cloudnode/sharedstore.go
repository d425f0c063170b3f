package cloudnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"skerry/cloudlink/fleet"
)

// The kinds of records that all workers of a cloud have.
const (
	deviceKind = "device" // by name
	inviteKind = "invite" // by the hash in hexadecimal
	keysKind   = "keys"
	cloudID    = "cloud"

	ticketsName   = "tickets"
	authorityName = "authority"

	// changeRounds bounds how often a record is changed against other workers.
	changeRounds = 8
	// followLate bounds how long a change that was heard of waits for etcd.
	followLate = 5 * time.Second
	// lateEvery is how often etcd is tried again with what it does not know yet.
	lateEvery = 500 * time.Millisecond
)

// sharedStore is the record of boards of a cloud with several workers. What lies in etcd counts:
// a change is written there first, and every worker has a copy in its own file, by which it lets
// boards in while etcd is away. Connection numbers are a worker's own.
type sharedStore struct {
	*DeviceStore
	fleet *fleet.Fleet
	log   *slog.Logger
	// dropped is told of a device that another worker has revoked, or given to another board.
	dropped func(device, why string)

	lacks  atomic.Int32  // kinds that were not copied yet
	copied chan struct{} // closed once all were
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex            // guards all following
	keys   int64                 // revision of the ticket keys
	untold map[string]struct{}   // devices of which etcd does not know the newest yet
	said   map[string]said       // by device: of its newest status that others were told of
	unseen map[string]seenRecord // by device: what etcd is to be told of
}

// share makes the record of one worker that of all. What this worker alone knows, as of before
// there were others, becomes known to all.
func share(store *DeviceStore, f *fleet.Fleet, log *slog.Logger, dropped func(device, why string)) *sharedStore {
	s := &sharedStore{DeviceStore: store, fleet: f, log: log, dropped: dropped, copied: make(chan struct{}), untold: map[string]struct{}{},
		said: map[string]said{}, unseen: map[string]seenRecord{}}
	s.lacks.Store(5)
	follow := func(kind string, whole func([]fleet.Record), change func(fleet.Record) error) {
		first := sync.OnceFunc(func() {
			if s.lacks.Add(-1) == 0 {
				close(s.copied)
			}
		})
		one := func(r fleet.Record) {
			if r.Value == nil { // only invitations go, and nobody misses a copy of one
				return
			}
			if err := change(r); err != nil {
				s.log.Error("what another worker has written is not taken", "kind", kind, "name", r.Name, "err", err)
			}
		}
		f.Follow(kind, func(all []fleet.Record) {
			for _, r := range all {
				one(r)
			}
			whole(all)
			first()
		}, one)
	}
	follow(deviceKind, s.tellDevices, s.hearDevice)
	follow(inviteKind, s.tellInvites, s.hearInvite)
	follow(keysKind, s.tellKeys, s.hearKeys)
	follow(offersKind, s.tellOffers, s.hearOffers)
	follow(ringKind, s.tellRings, s.hearRing)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.wg.Go(func() { s.tellLate(ctx) })
	return s
}

// close ends what share began; the fleet and the store stay.
func (s *sharedStore) close() {
	s.cancel()
	s.wg.Wait()
}

// change writes a record that all workers have: f makes the new one of the one that is there, nil
// for none.
func (s *sharedStore) change(ctx context.Context, kind, name string, f func(old []byte) ([]byte, error)) error {
	for range changeRounds {
		r, err := s.fleet.Get(ctx, kind, name)
		if err != nil {
			return err
		}
		if r.Value, err = f(r.Value); err != nil {
			return err
		}
		if _, err = s.fleet.Put(ctx, r); !errors.Is(err, fleet.ErrChanged) {
			return err
		}
	}
	return fmt.Errorf("%s %s: %w", kind, name, fleet.ErrChanged)
}

// late bounds a call of etcd that nobody waits for.
func (s *sharedStore) late(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), followLate)
	defer cancel()
	return f(ctx)
}
