// Package place decides which worker of a fleet of clouds serves a session: by weighted
// rendezvous hashing over the workers that are alive, past those that have no room and, while
// others do better, past those that are busy. It is pure: it knows no etcd, no connection
// and no clock, and every worker that is given the same records decides the same, on any
// processor.
//
// Read first: Judge, with which a worker says of itself what it can take; New and
// Fleet.Choose, which place a session.
package place

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

// Worker is one of the fleet, as its record in the store describes it.
type Worker struct {
	Name     string
	Draining bool    // it takes nothing new
	Stages   []Stage // one for each bundle it serves
}

// Stage is how a worker stands with one bundle: what its Judge said.
type Stage struct {
	Bundle string        // the hash
	Weight uint32        // its share of sessions over the sum of all workers' weights; 0 takes none
	Hot    bool          // it takes sessions only where no other worker does better
	Full   bool          // it has no room for another session
	Wait   time.Duration // what a newcomer's ask would wait there
}

// Key is what places a session, a hash of what names it: the same strings always go to the
// same workers. Where a board should have all its sessions at one worker, so that it needs
// one connection, the device's name alone is its key.
type Key uint64

// KeyOf is the key of what names a session.
func KeyOf(names ...string) Key {
	h := sha256.New()
	var n [8]byte
	for _, s := range names {
		binary.BigEndian.PutUint64(n[:], uint64(len(s))) // so that "ab", "c" is not "a", "bc"
		h.Write(n[:])
		h.Write([]byte(s))
	}
	return Key(binary.BigEndian.Uint64(h.Sum(nil)))
}

// Fleet is a set of workers among which sessions are placed. It does not change, and may
// be used by several goroutines.
type Fleet struct {
	names  []string
	stages map[string][]candidate // by bundle; workers by name
}

// candidate is a worker's stage of one bundle.
type candidate struct {
	worker    int    // in names
	seed      uint64 // of the worker's name
	reach     uint64 // 2^64 over the weight
	hot, full bool
	wait      time.Duration
}

// New makes a fleet of workers. One that is draining is left out, and so is, of two with one
// name, the second.
func New(workers []Worker) *Fleet {
	workers = slices.Clone(workers)
	slices.SortStableFunc(workers, func(a, b Worker) int { return cmp.Compare(a.Name, b.Name) })
	workers = slices.CompactFunc(workers, func(a, b Worker) bool { return a.Name == b.Name })
	f := &Fleet{stages: map[string][]candidate{}}
	for _, w := range workers {
		if w.Draining {
			continue
		}
		at, seed := len(f.names), uint64(KeyOf(w.Name))
		f.names = append(f.names, w.Name)
		for _, s := range w.Stages {
			all := f.stages[s.Bundle]
			if s.Weight == 0 || len(all) > 0 && all[len(all)-1].worker == at {
				continue
			}
			f.stages[s.Bundle] = append(all, candidate{at, seed, ^uint64(0) / uint64(s.Weight), s.Hot, s.Full, s.Wait})
		}
	}
	return f
}

// Len is how many workers take sessions.
func (f *Fleet) Len() int { return len(f.names) }

// Reason says how a session was placed, or why it was not.
type Reason uint8

const (
	First    Reason = iota // with the first worker in its order
	Shed                   // with a later one: those before it are hot, full or have turned it away
	AllHot                 // with the first that has room: all are hot
	NoRoom                 // nowhere: every worker that serves the bundle is full or has turned it away
	NoBundle               // nowhere: no worker serves the bundle
	NoWorker               // nowhere: no worker takes sessions
)

var reasons = [...]string{
	First: "first choice", Shed: "shed by a busy worker", AllHot: "every worker is busy",
	NoRoom: "no worker has room", NoBundle: "no worker serves the bundle", NoWorker: "no worker takes sessions",
}

func (r Reason) String() string { return reasons[r] }

// Choice is where a session goes.
type Choice struct {
	Worker string // "" for nowhere
	Reason Reason
	Wait   time.Duration // what its asks will wait there; for NoRoom the least there is anywhere
}

// Choose places a session of a bundle. Workers in not, which have turned it away, are passed
// over. It takes a few nanoseconds a worker and allocates nothing.
func (f *Fleet) Choose(key Key, bundle string, not ...string) Choice {
	all := f.stages[bundle]
	switch {
	case len(f.names) == 0:
		return Choice{Reason: NoWorker}
	case len(all) == 0:
		return Choice{Reason: NoBundle}
	}
	// The first in the order, the first of those with room, and the first of those that
	// are not hot either. Equal costs go to the smaller name, which comes first in all.
	first, room, cool := -1, -1, -1
	firstCost, roomCost, coolCost := ^uint64(0), ^uint64(0), ^uint64(0)
	least := time.Duration(-1)
	for i := range all {
		c := &all[i]
		cost := cost(key, c.seed, c.reach)
		if first < 0 || cost < firstCost {
			first, firstCost = i, cost
		}
		if c.full || len(not) > 0 && slices.Contains(not, f.names[c.worker]) {
			if least < 0 || c.wait < least {
				least = c.wait
			}
			continue
		}
		if room < 0 || cost < roomCost {
			room, roomCost = i, cost
		}
		if !c.hot && (cool < 0 || cost < coolCost) {
			cool, coolCost = i, cost
		}
	}
	at, reason := cool, Shed
	switch {
	case room < 0:
		return Choice{Reason: NoRoom, Wait: least}
	case cool < 0:
		at, reason = room, AllHot
	case cool == first:
		reason = First
	}
	return Choice{Worker: f.names[all[at].worker], Reason: reason, Wait: all[at].wait}
}

// Order lists the workers that serve a bundle in the order of a key, whether they are hot
// or full or not.
func (f *Fleet) Order(key Key, bundle string) []string {
	all := slices.Clone(f.stages[bundle])
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Compare(cost(key, a.seed, a.reach), cost(key, b.seed, b.reach))
	})
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = f.names[c.worker]
	}
	return names
}
