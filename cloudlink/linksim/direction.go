package linksim

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// direction is one way of the link.
type direction struct {
	wake chan struct{} // an earlier packet was queued
	hole atomic.Bool   // everything vanishes
	deaf atomic.Bool   // the Spec loses everything, which TCP feels as well

	mu     sync.Mutex // guards all following
	shaper *shaper
	faults Faults
	rng    *rand.Rand // of the faults: they leave the pattern of losses as it is
	queue  flight
	serial uint64

	bytes, packets, dropped, duplicated, reordered atomic.Uint64
}

type packet struct {
	data   []byte
	at     time.Time
	serial uint64 // order of those due at the same time
	client *client
}

func newDirection(spec Spec, seed, which uint64) *direction {
	d := &direction{
		wake: make(chan struct{}, 1), shaper: newShaper(spec, seed, which),
		rng: rand.New(rand.NewPCG(seed, which+2)),
	}
	d.deaf.Store(spec.Loss >= 1)
	return d
}

// send puts a packet on its way, unless the link loses it.
func (d *direction) send(data []byte, c *client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.shaper.admit(time.Now(), len(data))
	if !ok || d.hole.Load() || d.faults.swallows(len(data)) || len(d.queue) >= maxFlight {
		d.dropped.Add(1)
		return
	}
	late, twice := d.faults.draw(d.rng)
	if late > 0 {
		d.reordered.Add(1)
	}
	d.push(packet{data: data, at: at.Add(late), client: c})
	if twice {
		d.duplicated.Add(1)
		d.push(packet{data: data, at: at.Add(late), client: c})
	}
}

// push queues a packet; the caller holds mu.
func (d *direction) push(p packet) {
	d.serial++
	p.serial = d.serial
	heap.Push(&d.queue, p)
	if d.queue[0].serial == p.serial {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

// deliver hands packets over when they are due, until ctx ends.
func (d *direction) deliver(ctx context.Context, hand func(packet)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p, wait := d.next()
		if wait == 0 {
			hand(p)
			if ctx.Err() != nil {
				return
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case <-timer.C:
		}
	}
}

// next takes the packet that is due, or returns how long to wait for one.
func (d *direction) next() (packet, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		return packet{}, time.Hour
	}
	if wait := time.Until(d.queue[0].at); wait > 0 {
		return packet{}, wait
	}
	return heap.Pop(&d.queue).(packet), 0
}

func (d *direction) counters() Counters {
	return Counters{
		Bytes: d.bytes.Load(), Packets: d.packets.Load(), Dropped: d.dropped.Load(),
		Duplicated: d.duplicated.Load(), Reordered: d.reordered.Load(),
	}
}

// flight is a heap of packets by when they are due.
type flight []packet

func (f flight) Len() int { return len(f) }
func (f flight) Less(i, j int) bool {
	if c := f[i].at.Compare(f[j].at); c != 0 {
		return c < 0
	}
	return f[i].serial < f[j].serial
}
func (f flight) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flight) Push(p any)   { *f = append(*f, p.(packet)) }
func (f *flight) Pop() any {
	last := len(*f) - 1
	p := (*f)[last]
	(*f)[last] = packet{}
	*f = (*f)[:last]
	return p
}

// client is a sender at the front, with the socket that stands for it towards
// the target.
type client struct {
	addr netip.AddrPort
	conn *rebindable
}
