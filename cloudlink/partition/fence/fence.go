// Package fence numbers the connections of boards: of all connections of a device, the one
// with the highest epoch has what the device has, and no epoch is had twice. It has no
// connection itself: whoever uses it says what came on one, and closes the losers.
package fence

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"skerry/cloudlink/wire"
)

// maxProvisional is how many connections of one device may act before their
// handshake is confirmed; any more wait for it. Whoever replays first flights
// can hold as many, for as long as a handshake may take.
const maxProvisional = 2

// maxOlder is how many connections a board may have beside its newest: one that
// moves to another network or transport has two for a while. Those of a board
// that was killed would stay until they are idle for too long, and a board that
// restarts often would have too many.
const maxOlder = 2

// lastEpoch is the highest that a board can count on from: above it there is room
// for no block of numbers that a board keeps. No board comes near it by itself.
const lastEpoch = 3 << 62

// Record is where epochs are written down.
type Record interface {
	// RaiseEpoch records epoch for device if it is above the highest seen and not out of
	// its reach, and reports the highest. It has been synced when it returns.
	RaiseEpoch(device string, epoch uint64) (highest uint64, raised bool, err error)
}

// Fence knows which epochs of a device have been used.
//
// What comes before the handshake is confirmed may be a replay of an earlier
// flight, whose sender has no keys and never confirms. Such a connection may
// act in an epoch above all confirmed ones, provisionally: it computes in
// contexts of its own and takes nothing from anybody. The first to confirm its
// handshake has the epoch, once that is written down.
type Fence[C comparable] struct {
	record Record // nil: epochs in memory, and a used one is let in again

	mu          sync.Mutex // guards all following
	highest     map[string]uint64
	provisional map[string][]numbered[C]
	current     map[string][]numbered[C] // confirmed, by rising epoch; only with a record
}

// numbered is a connection with its epoch, which does not change.
type numbered[C comparable] struct {
	conn  C
	epoch uint64
}

// New returns the fence of a server. Without a record epochs are kept in memory, for
// devices whose names may be of many boards.
func New[C comparable](record Record) *Fence[C] {
	return &Fence[C]{
		record: record, highest: map[string]uint64{},
		provisional: map[string][]numbered[C]{}, current: map[string][]numbered[C]{},
	}
}

// Used reports whether an epoch of a device, or a later one, has been used.
func (f *Fence[C]) Used(device string, epoch uint64) (bool, error) {
	f.mu.Lock()
	highest, known := f.highest[device]
	f.mu.Unlock()
	if !known && f.record != nil {
		var err error
		if highest, _, err = f.record.RaiseEpoch(device, 0); err != nil { // 0 raises nothing
			return true, err
		}
		f.raise(device, highest)
	}
	return epoch <= highest, nil
}

func (f *Fence[C]) raise(device string, epoch uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.highest[device] = max(f.highest[device], epoch)
}

// Forget drops what is remembered of a device whose record has changed.
func (f *Fence[C]) Forget(device string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.highest, device)
}

// unraised says why an epoch was refused: it or a later one has been used, or it
// is further above them than a board can have counted.
func unraised(device string, epoch, highest uint64) *wire.Error {
	anew := fmt.Sprintf("have the cloud's operator run `skerry cloud invite --name %s`, then `skerry enroll CODE` here", device)
	switch {
	case epoch > highest:
		return &wire.Error{Code: wire.CodeStale, Highest: max(highest, 1), Text: fmt.Sprintf(
			"connection number %d is out of reach of the last one, %d: the board numbers on from there by itself; if it does not, or another machine has a copy of its key, %s",
			epoch, highest, anew)}
	case highest >= lastEpoch:
		return &wire.Error{Code: wire.CodeUnauthorized, Text: fmt.Sprintf(
			"the connection numbers of device %s are used up, the last one was %d, as a copy of its key may have done: %s", device, highest, anew)}
	}
	return &wire.Error{Code: wire.CodeStale, Highest: highest, Text: fmt.Sprintf(
		"epoch %d has been used, the highest is %d", epoch, highest)}
}

// Provide lets c act in an epoch before its handshake is confirmed, if it may.
func (f *Fence[C]) Provide(device string, c C, epoch uint64) bool {
	if used, err := f.Used(device, epoch); used || err != nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	of := f.provisional[device]
	known := slices.ContainsFunc(of, func(o numbered[C]) bool { return o.conn == c })
	if epoch <= f.highest[device] || !known && len(of) >= maxProvisional {
		return false
	}
	if !known {
		f.provisional[device] = append(of, numbered[C]{c, epoch})
	}
	return true
}

// Leave forgets c.
func (f *Fence[C]) Leave(device string, c C) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range []map[string][]numbered[C]{f.provisional, f.current} {
		of := slices.DeleteFunc(m[device], func(o numbered[C]) bool { return o.conn == c })
		if m[device] = of; len(of) == 0 {
			delete(m, device)
		}
	}
}

// Confirm gives c its epoch now that its handshake is confirmed, and returns the
// connections that lose by it, or why c may not have it. The error is of the record, and
// comes with a refusal.
func (f *Fence[C]) Confirm(device string, c C, epoch uint64) (losers []C, refused *wire.Error, err error) {
	if f.record != nil {
		highest, raised, err := f.record.RaiseEpoch(device, epoch)
		if err != nil {
			return nil, &wire.Error{Code: wire.CodeInternal, RetryAfter: 1000, Text: "the cloud could not write the epoch down"}, err
		}
		f.raise(device, highest)
		if !raised {
			return nil, unraised(device, epoch, highest), nil
		}
	}
	f.raise(device, epoch)
	f.Leave(device, c)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.provisional[device] {
		if o.epoch <= epoch {
			losers = append(losers, o.conn)
		}
	}
	if f.record == nil {
		return losers, nil, nil // a name may be of many boards
	}
	all := append(f.current[device], numbered[C]{c, epoch})
	slices.SortFunc(all, func(x, y numbered[C]) int { return cmp.Compare(x.epoch, y.epoch) })
	older := max(slices.IndexFunc(all, func(o numbered[C]) bool { return o.conn == c })-maxOlder, 0)
	for _, o := range all[:older] {
		losers = append(losers, o.conn)
	}
	f.current[device] = all[older:]
	return losers, nil, nil
}
