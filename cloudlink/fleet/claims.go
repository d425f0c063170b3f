package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	etcd "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"skerry/cloudlink/wire"
)

// NotOwnerError says which worker a board belongs to.
type NotOwnerError struct{ Owner string }

func (e *NotOwnerError) Error() string { return "the board belongs to the worker " + e.Owner }

const (
	claimsPrefix = root + "claims/"
	takenPrefix  = root + "taken/"
	// rounds bounds how often a claim is tried against others that change it meanwhile.
	rounds = 8
	// reclaimedAtOnce is how many boards are claimed at once under a new lease: one after the
	// other, those of a busy worker would take many seconds.
	reclaimedAtOnce = 64
)

// claim is what etcd has of one.
type claim struct {
	Owner string `json:"owner"` // its address
	Lease int64  `json:"lease"`
}

func (c claim) encode() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func decodeClaim(b []byte) (c claim, err error) {
	if len(b) > maxRecord {
		return c, errRecord
	}
	err = json.Unmarshal(b, &c)
	return c, err
}

// Claim makes a board this worker's, where it is nobody else's or may be taken, and returns
// the revision of the claim: of two workers that think they have a board, the one with the
// higher has. An error is a *NotOwnerError, or wraps ErrUnavailable. What this worker has
// claimed before it keeps while etcd does not answer. Bundle is the one that the board wants,
// "" where it has not said.
func (f *Fleet) Claim(ctx context.Context, device, bundle string, moves wire.Moves) (int64, error) {
	f.mu.Lock()
	lease := f.lease
	f.mu.Unlock()
	if lease == 0 {
		return f.keepOwn(device, errors.New("this worker has no lease"))
	}
	ctx, cancel := f.call(ctx)
	defer cancel()
	key := claimsPrefix + device
	got, err := f.etcd.Get(ctx, key)
	if err != nil {
		return f.keepOwn(device, err)
	}
	// Each round knows what the key is, and changes it only if it still is that.
	found := got.Kvs
	for range rounds {
		was := int64(0)
		var former claim
		if len(found) > 0 {
			was = found[0].ModRevision
			if former, err = decodeClaim(found[0].Value); err != nil {
				f.log.Warn("a claim cannot be read and is taken", "device", device, "err", err)
			}
		}
		f.mu.Lock()
		lease = f.lease
		// One that is being released may still be in etcd: it is claimed again.
		had, mine := f.claims[device]
		owned := was != 0 && former.Lease == int64(lease) && mine && !f.betterElsewhere(device, bundle, moves)
		others := was != 0 && former.Lease != 0 && !slices.Contains(f.past, etcd.LeaseID(former.Lease))
		var refused error
		if !owned {
			refused = f.elsewhere(former, device, bundle, moves)
		}
		if owned {
			f.claims[device] = was
		} else if refused != nil {
			delete(f.claims, device)
		}
		f.mu.Unlock()
		switch {
		case owned:
			return was, nil
		case refused != nil:
			return 0, refused
		}
		ops := []etcd.Op{etcd.OpPut(key, claim{f.opt.Self.Address, int64(lease)}.encode(), etcd.WithLease(lease))}
		if others {
			// Its owner hears of it. That goes with the owner's lease, so that nothing stays
			// of one that has died.
			ops = append(ops, etcd.OpPut(takenKey(former.Lease, device), f.opt.Self.Address, etcd.WithLease(etcd.LeaseID(former.Lease))))
		}
		done, err := f.etcd.Txn(ctx).If(etcd.Compare(etcd.ModRevision(key), "=", was)).Then(ops...).Else(etcd.OpGet(key)).Commit()
		if errors.Is(err, rpctypes.ErrLeaseNotFound) && others { // the owner's, perhaps, whose claims go with it
			got, again := f.etcd.Get(ctx, key)
			if again == nil && (len(got.Kvs) == 0 || got.Kvs[0].ModRevision != was) {
				found = got.Kvs
				continue
			}
		}
		if err != nil {
			f.wake() // the lease may have run out
			return f.keepOwn(device, err)
		}
		if done.Succeeded {
			f.mu.Lock()
			revision := done.Header.Revision
			if now, ok := f.claims[device]; ok && now != had { // another connection has claimed it meanwhile
				revision = max(revision, now)
			}
			f.claims[device] = revision
			f.mu.Unlock()
			return revision, nil
		}
		found = done.Responses[0].GetResponseRange().Kvs
	}
	return 0, fmt.Errorf("%w: the claim of %s changes all the time", ErrUnavailable, device)
}

// elsewhere says where a board belongs that is not this worker's, nil where it may be claimed
// here; mu is held. former is its claim, zero where it has none.
func (f *Fleet) elsewhere(former claim, device, bundle string, moves wire.Moves) error {
	if moves != wire.Follows && moves != wire.WasSent {
		return nil
	}
	if owner, known := f.workers[former.Owner]; known && former.Owner != f.self.Address &&
		owner.Lease == former.Lease && !owner.Draining && (owner.serves(bundle) || !f.self.serves(bundle)) {
		return &NotOwnerError{former.Owner}
	}
	if moves == wire.WasSent && !f.self.Draining && !f.betterElsewhere(device, bundle, moves) {
		return nil
	}
	if to := first(f.list(), device, bundle); to != "" && to != f.self.Address {
		return &NotOwnerError{to}
	}
	return nil
}

// betterElsewhere reports whether a board that can follow wants a bundle that this worker does not
// serve and another does: as after the bundle was rolled out to some workers alone. mu is held.
func (f *Fleet) betterElsewhere(device, bundle string, moves wire.Moves) bool {
	if moves != wire.Follows && moves != wire.WasSent || f.self.serves(bundle) {
		return false
	}
	to := first(f.list(), device, bundle)
	return to != "" && to != f.self.Address
}

// serves reports whether a worker serves a bundle; "" stands for any.
func (w Worker) serves(bundle string) bool {
	return bundle == "" || slices.ContainsFunc(w.Stages, func(s Stage) bool { return s.Bundle == bundle })
}

// keepOwn is a claim while etcd does not answer.
func (f *Fleet) keepOwn(device string, err error) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if revision, ok := f.claims[device]; ok {
		return revision, nil
	}
	return 0, unavailable(err)
}

// Release gives a board up that wants nothing more of this worker, where gone says that it is
// still so: it is asked while nobody can claim the board here, and must not call the Fleet. A
// board that comes back meanwhile is claimed again, under a higher revision, and keeps that. An
// error wraps ErrUnavailable; the board then stays this worker's.
func (f *Fleet) Release(ctx context.Context, device string, gone func() bool) error {
	f.mu.Lock()
	revision, ok := f.claims[device]
	if !ok || !gone() {
		f.mu.Unlock()
		return nil
	}
	delete(f.claims, device)
	f.mu.Unlock()
	ctx, cancel := f.call(ctx)
	defer cancel()
	key := claimsPrefix + device
	_, err := f.etcd.Txn(ctx).If(etcd.Compare(etcd.ModRevision(key), "=", revision)).Then(etcd.OpDelete(key)).Commit()
	if err == nil {
		f.released.Add(1)
		return nil
	}
	f.mu.Lock()
	if _, again := f.claims[device]; !again {
		f.claims[device] = revision
	}
	f.mu.Unlock()
	return unavailable(err)
}

// Claims are the boards that belong to this worker.
func (f *Fleet) Claims() (devices []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for d := range f.claims {
		devices = append(devices, d)
	}
	slices.Sort(devices)
	return devices
}

// Owned are the boards of all workers, each with the address of the worker that has it. An error
// wraps ErrUnavailable.
func (f *Fleet) Owned(ctx context.Context) (map[string]string, error) {
	ctx, cancel := f.call(ctx)
	defer cancel()
	got, err := f.etcd.Get(ctx, claimsPrefix, etcd.WithPrefix(), etcd.WithSerializable())
	if err != nil {
		return nil, unavailable(err)
	}
	owned := make(map[string]string, len(got.Kvs))
	for _, kv := range got.Kvs {
		if c, err := decodeClaim(kv.Value); err == nil {
			owned[strings.TrimPrefix(string(kv.Key), claimsPrefix)] = c.Owner
		}
	}
	return owned, nil
}

// reclaim claims under a new lease what was claimed under the last, unless others have since, as
// often as etcd has to be asked and for as long as the lease is the newest.
func (f *Fleet) reclaim(lease etcd.LeaseID) {
	var calls errgroup.Group
	calls.SetLimit(reclaimedAtOnce)
	for _, device := range f.Claims() {
		calls.Go(func() error {
			for f.newest(lease) && f.reclaimOne(device, lease) != nil {
				select {
				case <-f.ctx.Done():
					return nil
				case <-time.After(retryEvery):
				}
			}
			return nil
		})
	}
	calls.Wait()
}

func (f *Fleet) newest(lease etcd.LeaseID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lease == lease
}

func (f *Fleet) reclaimOne(device string, lease etcd.LeaseID) error {
	ctx, cancel := f.call(f.ctx)
	defer cancel()
	f.mu.Lock()
	had, claimed := f.claims[device]
	past := slices.Clone(f.past)
	f.mu.Unlock()
	if !claimed { // lost meanwhile
		return nil
	}
	key := claimsPrefix + device
	mine := etcd.OpPut(key, claim{f.opt.Self.Address, int64(lease)}.encode(), etcd.WithLease(lease))
	was := int64(0)
	for range rounds {
		done, err := f.etcd.Txn(ctx).If(etcd.Compare(etcd.ModRevision(key), "=", was)).Then(mine).Else(etcd.OpGet(key)).Commit()
		if err != nil {
			return err
		}
		if done.Succeeded {
			f.mu.Lock()
			if _, still := f.claims[device]; still {
				f.claims[device] = done.Header.Revision
			}
			f.mu.Unlock()
			return nil
		}
		found := done.Responses[0].GetResponseRange().Kvs
		if was = 0; len(found) == 0 {
			continue
		}
		c, err := decodeClaim(found[0].Value)
		if err == nil && c.Lease == int64(lease) { // the board has come meanwhile
			return nil
		}
		if err != nil || !slices.Contains(past, etcd.LeaseID(c.Lease)) {
			f.lose(device, had, c.Owner)
			return nil
		}
		was = found[0].ModRevision
	}
	return fmt.Errorf("the claim of %s changes all the time", device)
}

// lose ends a claim with a revision that is no longer the newest.
func (f *Fleet) lose(device string, revision int64, owner string) {
	f.mu.Lock()
	gone := f.claims[device] == revision
	if gone {
		delete(f.claims, device)
	}
	f.mu.Unlock()
	if gone && f.opt.Lost != nil {
		f.log.Info("another worker has taken a board", "device", device, "owner", owner)
		f.wg.Go(func() { f.opt.Lost(device, owner) })
	}
}

func takenKey(lease int64, device string) string {
	return takenPrefix + strconv.FormatInt(lease, 16) + "/" + device
}

// forgetTaken deletes what this worker has heard. Where etcd does not answer it goes with the lease.
func (f *Fleet) forgetTaken(e event) {
	ctx, cancel := f.call(f.ctx)
	defer cancel()
	f.etcd.Txn(ctx).If(etcd.Compare(etcd.ModRevision(e.key), "=", e.revision)).Then(etcd.OpDelete(e.key)).Commit()
}

// watchTaken hears of the boards that others take from this worker, until Close.
func (f *Fleet) watchTaken() {
	select {
	case <-f.joined:
	case <-f.ctx.Done():
		return
	}
	heard := func(e event) {
		lease, device, _ := strings.Cut(strings.TrimPrefix(e.key, takenPrefix), "/")
		n, err := strconv.ParseInt(lease, 16, 64)
		f.mu.Lock()
		of := slices.Contains(f.past, etcd.LeaseID(n))
		revision, mine := f.claims[device]
		f.mu.Unlock()
		if err != nil || !of || e.value == nil {
			return
		}
		if mine && e.revision > revision {
			f.lose(device, revision, string(e.value))
		}
		f.wg.Go(func() { f.forgetTaken(e) })
	}
	f.follow(takenPrefix, func(all []event) {
		for _, e := range all {
			heard(e)
		}
	}, heard)
}
