package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	etcd "go.etcd.io/etcd/client/v3"
)

// Worker is what a worker tells the others of itself.
type Worker struct {
	Address  string  `json:"address"` // host:port, where boards reach it; no two have one
	Lease    int64   `json:"lease"`   // of its process
	Version  string  `json:"version,omitempty"`
	Draining bool    `json:"draining,omitempty"` // it takes nothing new, and what it has may be taken
	Stages   []Stage `json:"stages,omitempty"`   // by bundle

	version uint64 // of the record in this process
}

// Stage is how a worker stands with a bundle.
type Stage struct {
	Bundle string        `json:"bundle"`         // its hash, in hexadecimal
	Name   string        `json:"name,omitempty"` // what it is called
	Weight uint32        `json:"weight"`         // its share of boards over the sum of all weights; 0 takes none
	Hot    bool          `json:"hot,omitempty"`
	Full   bool          `json:"full,omitempty"`
	Wait   time.Duration `json:"wait_ns,omitempty"` // that a newcomer's ask would wait
}

const (
	workersPrefix = root + "workers/"
	maxRecord     = 64 << 10
)

func workerKey(address string) string { return workersPrefix + address }

func (w Worker) encode() []byte {
	b, err := json.Marshal(w)
	if err != nil {
		panic(err) // it has nothing that JSON does not
	}
	return b
}

var errRecord = errors.New("no record of a worker")

// decodeWorker reads the record of the worker at an address.
func decodeWorker(address string, b []byte) (w Worker, err error) {
	if len(b) > maxRecord {
		return w, errRecord
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return w, errors.Join(errRecord, err)
	}
	if w.Address != address || address == "" || w.Lease == 0 {
		return Worker{}, errRecord
	}
	return w, nil
}

// Update changes what others are told of this worker; it is written soon.
func (f *Fleet) Update(change func(*Worker)) {
	f.mu.Lock()
	before := f.self.encode()
	change(&f.self)
	f.self.Address = f.opt.Self.Address
	if changed := string(f.self.encode()) != string(before); changed {
		f.self.version++
		f.stale = true
	}
	stale := f.stale
	f.mu.Unlock()
	if stale {
		f.wake()
	}
}

// Drain tells the others that this worker stops: they take its boards. It returns when etcd has
// written that down, or why it has not.
func (f *Fleet) Drain(ctx context.Context) error {
	f.Update(func(w *Worker) { w.Draining = true })
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		f.mu.Lock()
		written, err := !f.stale, f.err
		f.mu.Unlock()
		if written {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%v): %w", ErrUnavailable, err, ctx.Err())
		case <-tick.C:
		}
	}
}

// list is the workers that live, by address; mu is held. Of itself this one knows better than
// etcd.
func (f *Fleet) list() []Worker {
	if w, ok := f.workers[f.self.Address]; ok {
		w.Draining, w.Stages = f.self.Draining, f.self.Stages
		f.workers[f.self.Address] = w
	}
	return slices.SortedFunc(maps.Values(f.workers), func(a, b Worker) int { return cmp.Compare(a.Address, b.Address) })
}

// Others are the addresses of the workers that take boards, this one left out, in the order in
// which a board should try them.
func (f *Fleet) Others(device string) (addresses []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range order(f.list(), device) {
		if a != f.self.Address {
			addresses = append(addresses, a)
		}
	}
	return addresses
}

// watchWorkers keeps the list of workers as etcd has it until Close.
func (f *Fleet) watchWorkers() {
	first := true
	f.follow(workersPrefix, func(all []event) {
		found := map[string]Worker{}
		for _, e := range all {
			if w, ok := f.read(e); ok {
				found[w.Address] = w
			}
		}
		f.mu.Lock()
		f.workers = found
		f.mu.Unlock()
		if first {
			first = false
			f.wg.Go(f.announceJoined)
		}
	}, func(e event) {
		w, ok := f.read(e)
		f.mu.Lock()
		defer f.mu.Unlock()
		if ok {
			f.workers[w.Address] = w
		} else {
			delete(f.workers, strings.TrimPrefix(e.key, workersPrefix))
		}
	})
}

// announceJoined closes joined once the lease is held: the workers are known.
func (f *Fleet) announceJoined() {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		f.mu.Lock()
		held := f.lease != 0
		f.mu.Unlock()
		if held {
			f.joining.Do(func() { close(f.joined) })
			return
		}
		select {
		case <-f.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (f *Fleet) read(e event) (Worker, bool) {
	if e.value == nil {
		return Worker{}, false
	}
	w, err := decodeWorker(strings.TrimPrefix(e.key, workersPrefix), e.value)
	if err != nil {
		f.log.Warn("the record of a worker cannot be read", "key", e.key, "err", err)
		return Worker{}, false
	}
	return w, true
}

// event is a key with its value, nil where it was deleted.
type event struct {
	key      string
	value    []byte
	revision int64
}

// follow hands whole all keys below a prefix, and then each change to one, again from the start
// when etcd has been away for longer than it remembers changes or than a lease lasts; until Close.
func (f *Fleet) follow(prefix string, whole func([]event), change func(event)) {
	for f.ctx.Err() == nil {
		f.followOnce(prefix, whole, change)
		select {
		case <-f.ctx.Done():
		case <-time.After(retryEvery):
		}
	}
}

func (f *Fleet) followOnce(prefix string, whole func([]event), change func(event)) {
	f.mu.Lock()
	anew := f.anew
	f.mu.Unlock()
	ctx, cancel := f.call(f.ctx)
	got, err := f.etcd.Get(ctx, prefix, etcd.WithPrefix())
	cancel()
	if err != nil {
		return
	}
	all := make([]event, len(got.Kvs))
	for i, kv := range got.Kvs {
		all[i] = event{string(kv.Key), nonNil(kv.Value), kv.ModRevision}
	}
	whole(all)
	// A member that has lost the others would say nothing, and look as if nothing changed.
	watching, stop := context.WithCancel(etcd.WithRequireLeader(f.ctx))
	defer stop()
	changes := f.etcd.Watch(watching, prefix, etcd.WithPrefix(), etcd.WithRev(got.Header.Revision+1))
	for {
		var r etcd.WatchResponse
		ok := false
		select {
		case r, ok = <-changes:
		case <-anew:
		}
		if !ok || r.Err() != nil {
			return
		}
		for _, e := range r.Events {
			v := event{string(e.Kv.Key), nil, e.Kv.ModRevision}
			if e.Type == etcd.EventTypePut {
				v.value = nonNil(e.Kv.Value)
			}
			change(v)
		}
	}
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
