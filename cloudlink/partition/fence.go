package partition

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

// fence knows which epochs of a device have been used.
//
// What comes before the handshake is confirmed may be a replay of an earlier
// flight, whose sender has no keys and never confirms. Such a connection may
// act in an epoch above all confirmed ones, provisionally: it computes in
// contexts of its own and takes nothing from anybody. The first to confirm its
// handshake has the epoch, once that is written down.
type fence struct {
	devices Devices // nil: epochs in memory, and a used one is let in again

	mu          sync.Mutex // guards all following
	highest     map[string]uint64
	provisional map[string][]*connection
	current     map[string][]*connection // confirmed, by rising epoch; only with devices
}

func newFence(devices Devices) *fence {
	return &fence{
		devices: devices, highest: map[string]uint64{},
		provisional: map[string][]*connection{}, current: map[string][]*connection{},
	}
}

// used reports whether an epoch of a device, or a later one, has been used.
func (f *fence) used(device string, epoch uint64) (bool, error) {
	f.mu.Lock()
	highest, known := f.highest[device]
	f.mu.Unlock()
	if !known && f.devices != nil {
		var err error
		if highest, _, err = f.devices.RaiseEpoch(device, 0); err != nil { // 0 raises nothing
			return true, err
		}
		f.saw(device, highest)
	}
	return epoch <= highest, nil
}

func (f *fence) saw(device string, epoch uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.highest[device] = max(f.highest[device], epoch)
}

// provide lets c act before its handshake is confirmed, if it may.
func (f *fence) provide(c *connection, epoch uint64) bool {
	if used, err := f.used(c.device, epoch); used || err != nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	of := f.provisional[c.device]
	if epoch <= f.highest[c.device] || !slices.Contains(of, c) && len(of) >= maxProvisional {
		return false
	}
	if !slices.Contains(of, c) {
		f.provisional[c.device] = append(of, c)
	}
	return true
}

// leave forgets c.
func (f *fence) leave(c *connection) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range []map[string][]*connection{f.provisional, f.current} {
		of := slices.DeleteFunc(m[c.device], func(o *connection) bool { return o == c })
		if m[c.device] = of; len(of) == 0 {
			delete(m, c.device)
		}
	}
}

// confirm gives c its epoch now that its handshake is confirmed, and returns
// the connections that lose by it, or why c may not have it.
func (f *fence) confirm(c *connection, epoch uint64) (losers []*connection, refused *wire.Error) {
	if f.devices != nil {
		highest, raised, err := f.devices.RaiseEpoch(c.device, epoch)
		if err != nil {
			c.log.Error("epoch not written down", "epoch", epoch, "err", err)
			return nil, &wire.Error{Code: wire.CodeInternal, RetryAfter: 1000, Text: "the cloud could not write the epoch down"}
		}
		f.saw(c.device, highest)
		if !raised {
			return nil, &wire.Error{Code: wire.CodeStale, Highest: highest, Text: fmt.Sprintf(
				"epoch %d has been used, the highest is %d", epoch, highest)}
		}
	}
	f.saw(c.device, epoch)
	f.leave(c)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.provisional[c.device] {
		if o.epochNow() <= epoch {
			losers = append(losers, o)
		}
	}
	if f.devices == nil {
		return losers, nil // a name may be of many boards
	}
	all := append(f.current[c.device], c)
	slices.SortFunc(all, func(x, y *connection) int { return cmp.Compare(x.epochNow(), y.epochNow()) })
	older := max(slices.Index(all, c)-maxOlder, 0)
	losers = append(losers, all[:older]...)
	f.current[c.device] = all[older:]
	return losers, nil
}
