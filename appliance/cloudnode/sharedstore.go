package cloudnode

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"skerry/cloudlink/fleet"
	"skerry/cloudlink/trust"
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
// boards in while etcd is away. Connection numbers, statuses and offers of updates are a worker's
// own.
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

	mu     sync.Mutex          // guards all following
	keys   int64               // revision of the ticket keys
	untold map[string]struct{} // devices of which etcd does not know the newest yet
}

// share makes the record of one worker that of all. What this worker alone knows, as of before
// there were others, becomes known to all.
func share(store *DeviceStore, f *fleet.Fleet, log *slog.Logger, dropped func(device, why string)) *sharedStore {
	s := &sharedStore{DeviceStore: store, fleet: f, log: log, dropped: dropped, copied: make(chan struct{}), untold: map[string]struct{}{}}
	s.lacks.Store(3)
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

// tellLate tells the others of devices that were revoked while etcd was away, once it is back.
func (s *sharedStore) tellLate(ctx context.Context) {
	tick := time.NewTicker(lateEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		names := slices.Collect(maps.Keys(s.untold))
		s.mu.Unlock()
		for _, name := range names {
			if s.pushDevice(ctx, name) != nil {
				break
			}
			s.mu.Lock()
			delete(s.untold, name)
			s.mu.Unlock()
			s.log.Info("the other workers have heard of a device that was revoked here", "device", name)
		}
	}
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

// PutDevice is DeviceStore.PutDevice at all workers.
func (s *sharedStore) PutDevice(d trust.Device) error {
	if err := checkName(d.Name); err != nil {
		return err
	}
	r := deviceRecord{recordVersion, string(d.Disclosure), d.Key, utc(d.Enrolled), utc(d.Expires), time.Time{}}
	err := s.change(context.Background(), deviceKind, d.Name, func(old []byte) ([]byte, error) {
		if old != nil {
			former, err := deviceBucket.Decode(d.Name, old)
			if err != nil {
				return nil, err
			}
			if !former.Revoked.IsZero() && !d.Enrolled.After(former.Revoked) {
				return nil, fmt.Errorf("device %s: %w", d.Name, trust.ErrRevoked)
			}
			if at := former.changed(); !r.Enrolled.Equal(former.Enrolled) && !r.Enrolled.After(at) {
				r.Enrolled = at.Add(time.Millisecond) // by a clock that is behind another worker's
			}
		}
		return deviceBucket.Encode(d.Name, r), nil
	})
	if err != nil {
		return err
	}
	return s.takeDevice(d.Name, r)
}

// RevokeDevice is DeviceStore.RevokeDevice at all workers. This one bars the device also while
// etcd does not answer, and tells the others once it does; the error says so.
func (s *sharedStore) RevokeDevice(name string) error {
	if err := s.DeviceStore.RevokeDevice(name); err != nil {
		return err
	}
	if err := s.pushDevice(context.Background(), name); err != nil {
		s.mu.Lock()
		s.untold[name] = struct{}{}
		s.mu.Unlock()
		s.dropped(name, trust.RevokedText(name))
		return fmt.Errorf("device %s is revoked at this worker, and at the others once they have heard of it: %w", name, err)
	}
	return nil
}

// pushDevice tells all workers what this one knows of a device, if it is newer.
func (s *sharedStore) pushDevice(ctx context.Context, name string) error {
	r, ok, err := deviceBucket.Get(s.Store, name)
	if err != nil || !ok {
		return err
	}
	return s.change(ctx, deviceKind, name, func(old []byte) ([]byte, error) {
		if old != nil {
			there, err := deviceBucket.Decode(name, old)
			if err != nil {
				return nil, err
			}
			if !r.supersedes(there) {
				return old, nil
			}
		}
		return deviceBucket.Encode(name, r), nil
	})
}

// changed is when a device was enrolled or revoked last.
func (r deviceRecord) changed() time.Time {
	if r.Revoked.After(r.Enrolled) {
		return r.Revoked
	}
	return r.Enrolled
}

// supersedes reports whether r is of later than old. The clocks of workers differ: of one
// enrolment what is revoked is the later, whatever the times say.
func (r deviceRecord) supersedes(old deviceRecord) bool {
	if r.Key == old.Key && r.Enrolled.Equal(old.Enrolled) {
		return !r.Revoked.IsZero() && old.Revoked.IsZero()
	}
	return r.changed().After(old.changed())
}

// hearDevice takes what another worker has written of a device, unless this one knows better.
func (s *sharedStore) hearDevice(v fleet.Record) error {
	r, err := deviceBucket.Decode(v.Name, v.Value)
	if err != nil {
		return err
	}
	return s.takeDevice(v.Name, r)
}

// takeDevice makes r what this worker knows of a device, unless it knows better by now, and ends
// the connections of one that is no longer let in.
func (s *sharedStore) takeDevice(name string, r deviceRecord) error {
	if err := checkName(name); err != nil {
		return err
	}
	mine, known, err := deviceBucket.Get(s.Store, name)
	if err != nil || known && bytes.Equal(deviceBucket.Encode(name, mine), deviceBucket.Encode(name, r)) {
		return err
	}
	gone := false
	err = s.changeDevice(name, func(old *deviceRecord, known bool) error {
		if known && old.supersedes(r) {
			return nil
		}
		gone = known && (old.Key != r.Key || old.Revoked.IsZero() && !r.Revoked.IsZero())
		*old = r
		return nil
	})
	if err == nil && gone {
		s.log.Info("another worker has revoked a device, or enrolled it anew", "device", name)
		s.dropped(name, trust.RevokedText(name))
	}
	return err
}

// tellDevices tells all workers of the devices that this one knows newer, or alone.
func (s *sharedStore) tellDevices(all []fleet.Record) {
	there := map[string]deviceRecord{}
	for _, v := range all {
		if r, err := deviceBucket.Decode(v.Name, v.Value); err == nil {
			there[v.Name] = r
		}
	}
	list, err := deviceBucket.All(s.Store, "")
	for _, e := range list {
		if r, ok := there[e.Key]; err == nil && (!ok || e.Record.supersedes(r)) {
			err = s.late(func(ctx context.Context) error { return s.pushDevice(ctx, e.Key) })
		}
	}
	if err != nil {
		s.log.Error("not all devices that this worker knows are known to the others", "err", err)
	}
}

// late bounds a call of etcd that nobody waits for.
func (s *sharedStore) late(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), followLate)
	defer cancel()
	return f(ctx)
}

// AddInvite is DeviceStore.AddInvite at all workers.
func (s *sharedStore) AddInvite(i trust.Invite) error {
	r := inviteRecord{
		Version: recordVersion, Hash: i.Hash, Created: utc(i.Made), Expires: utc(i.Expires), Device: i.Name, Disclosure: string(i.Disclosure),
	}
	err := s.change(context.Background(), inviteKind, hex.EncodeToString(i.Hash[:]), func(old []byte) ([]byte, error) {
		if old != nil {
			return nil, fmt.Errorf("invitation %s: it is there already", i.ID())
		}
		return inviteBucket.Encode(inviteKey(i.Hash), r), nil
	})
	if err != nil {
		return err
	}
	return s.takeInvite(r)
}

// UseInvite is DeviceStore.UseInvite at all workers: one enrolment alone, whichever it comes to.
func (s *sharedStore) UseInvite(hash [32]byte, now time.Time) (trust.Invite, error) {
	return s.closeInvite(hash, func(r *inviteRecord) error { return r.use(now) })
}

// WithdrawInvite is DeviceStore.WithdrawInvite at all workers.
func (s *sharedStore) WithdrawInvite(hash [32]byte, now time.Time) error {
	_, err := s.closeInvite(hash, func(r *inviteRecord) error { return r.withdraw(now) })
	return err
}

func (s *sharedStore) closeInvite(hash [32]byte, f func(*inviteRecord) error) (trust.Invite, error) {
	var r inviteRecord
	err := s.change(context.Background(), inviteKind, hex.EncodeToString(hash[:]), func(old []byte) (_ []byte, err error) {
		if old == nil {
			return nil, trust.ErrUnknownCode
		}
		if r, err = inviteBucket.Decode(inviteKey(hash), old); err != nil {
			return nil, err
		}
		if err := f(&r); err != nil {
			return nil, err
		}
		return inviteBucket.Encode(inviteKey(hash), r), nil
	})
	if err != nil {
		return trust.Invite{}, err
	}
	return r.invite(), s.takeInvite(r)
}

func (s *sharedStore) hearInvite(v fleet.Record) error {
	hash, err := hex.DecodeString(v.Name)
	if err != nil {
		return err
	}
	r, err := inviteBucket.Decode(string(hash), v.Value)
	if err != nil {
		return err
	}
	return s.takeInvite(r)
}

func (s *sharedStore) takeInvite(r inviteRecord) error {
	mine, known, err := inviteBucket.Get(s.Store, inviteKey(r.Hash))
	key := inviteKey(r.Hash)
	if err != nil || known && bytes.Equal(inviteBucket.Encode(key, mine), inviteBucket.Encode(key, r)) {
		return err
	}
	return s.Keep(inviteBucket.Put(key, r))
}

// tellInvites tells all workers of the open invitations that this one alone knows, and forgets
// those that are long past.
func (s *sharedStore) tellInvites(all []fleet.Record) {
	there := map[string]bool{}
	for _, v := range all {
		there[v.Name] = true
		r, err := inviteBucket.Decode(v.Name, v.Value)
		if err == nil && time.Since(r.Expires) > inviteKeep {
			s.late(func(ctx context.Context) error {
				_, err := s.fleet.Put(ctx, fleet.Record{Kind: v.Kind, Name: v.Name, Revision: v.Revision})
				return err
			})
		}
	}
	list, err := inviteBucket.All(s.Store, "")
	for _, e := range list {
		r, name := e.Record, hex.EncodeToString(e.Record.Hash[:])
		if err != nil || there[name] || !r.Used.IsZero() || time.Now().After(r.Expires) {
			continue
		}
		err = s.late(func(ctx context.Context) error {
			_, err := s.fleet.Put(ctx, fleet.Record{Kind: inviteKind, Name: name, Value: inviteBucket.Encode(e.Key, r)})
			return err
		})
	}
	if err != nil && !errors.Is(err, fleet.ErrChanged) {
		s.log.Error("not all invitations that this worker knows are known to the others", "err", err)
	}
}

// PutTicketKeys has all workers seal session tickets with the same keys.
func (s *sharedStore) PutTicketKeys(keys [][32]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.late(func(ctx context.Context) error {
		revision, err := s.fleet.Put(ctx, fleet.Record{Kind: keysKind, Name: ticketsName, Value: joinKeys(keys), Revision: s.keys})
		if err != nil {
			return err
		}
		s.keys = revision
		return s.DeviceStore.PutTicketKeys(keys)
	})
}

func joinKeys(keys [][32]byte) (b []byte) {
	for _, k := range keys {
		b = append(b, k[:]...)
	}
	return b
}

var errKeys = errors.New("no ticket keys")

func splitKeys(b []byte) (keys [][32]byte, err error) {
	if len(b)%32 != 0 || len(b) > 64*32 {
		return nil, errKeys
	}
	for ; len(b) > 0; b = b[32:] {
		keys = append(keys, [32]byte(b))
	}
	return keys, nil
}

func (s *sharedStore) hearKeys(v fleet.Record) error {
	keys, err := splitKeys(v.Value)
	if err != nil || v.Name != ticketsName {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.Revision <= s.keys {
		return nil
	}
	s.keys = v.Revision
	return s.DeviceStore.PutTicketKeys(keys)
}

// tellKeys gives all workers the ticket keys of this one where there are none yet, as in an etcd
// that was set up anew.
func (s *sharedStore) tellKeys(all []fleet.Record) {
	there := int64(0)
	for _, v := range all {
		there = max(there, v.Revision)
	}
	s.mu.Lock()
	s.keys = min(s.keys, there)
	s.mu.Unlock()
	keys, err := s.TicketKeys()
	if err == nil && len(all) == 0 && len(keys) > 0 {
		err = s.PutTicketKeys(keys)
	}
	if err != nil && !errors.Is(err, fleet.ErrChanged) {
		s.log.Warn("session ticket keys not shared: boards that move take a round trip more", "err", err)
	}
}
