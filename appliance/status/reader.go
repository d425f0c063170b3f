package status

import (
	"slices"
	"sync/atomic"
	"time"
)

// Reader of a hub's events.
type Reader struct {
	hub    *Hub
	kinds  []Kind
	events chan Event
	lost   atomic.Uint64
}

// Subscribe starts to read events of these kinds. The errors are ErrReaders and
// ErrClosed.
func (h *Hub) Subscribe(kinds ...Kind) (*Reader, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, ErrClosed
	case len(h.open) >= MaxReaders:
		return nil, ErrReaders
	}
	r := &Reader{hub: h, kinds: kinds, events: make(chan Event, backlog)}
	h.open[r] = true
	h.readers.Add(1)
	h.poll()
	return r, nil
}

func (r *Reader) wants(kind Kind) bool { return slices.Contains(r.kinds, kind) }

// Events in their order. It is closed when the hub or the reader is.
func (r *Reader) Events() <-chan Event { return r.events }

// Lost counts the events that the reader was too slow for.
func (r *Reader) Lost() uint64 { return r.lost.Load() }

// Close stops reading. It may be called again.
func (r *Reader) Close() {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	r.hub.drop(r)
}

func (h *Hub) drop(r *Reader) {
	if !h.open[r] {
		return
	}
	delete(h.open, r)
	h.readers.Add(-1)
	close(r.events)
	h.poll()
}

// poller makes events of a kind regularly, while somebody reads them.
type poller struct {
	kind  Kind
	every time.Duration
	value func() any
	stop  chan struct{} // nil while nobody reads
}

// Poll publishes the value every so often while somebody reads that kind. A nil
// value is left out.
func (h *Hub) Poll(kind Kind, every time.Duration, value func() any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pollers = append(h.pollers, &poller{kind: kind, every: every, value: value})
	h.poll()
}

// poll starts the pollers that have become wanted and stops those that no longer
// are.
func (h *Hub) poll() {
	for _, p := range h.pollers {
		switch wanted := !h.closed && h.wanted(p.kind); {
		case wanted && p.stop == nil:
			stop := make(chan struct{})
			p.stop = stop
			h.work.Go(func() { h.run(p, stop) })
		case !wanted && p.stop != nil:
			close(p.stop)
			p.stop = nil
		}
	}
}

func (h *Hub) run(p *poller, stop <-chan struct{}) {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		if v := p.value(); v != nil {
			h.Publish(p.kind, func() any { return v })
		}
	}
}
