package fleetsim

import (
	"cmp"
	"slices"
	"time"
)

// kind is what happens.
type kind uint8

const (
	begins    kind = iota // a board wants an answer
	asks                  // a board's ask is with its worker
	passed                // a worker's pass is over
	answered              // an answer is with its board
	noticed               // a board has noticed that its link is dead
	dials                 // a board dials
	arrives               // its first packet is with a worker
	letIn                 // the handshake is over
	refused               // a dial has failed
	connected             // the worker has said hello
	tells                 // workers tell of themselves
	strikes               // what Kill and Cut say
	expires               // the leases of the dead
	restores              // the network of those cut off
	second                // a second is over
)

// event is one thing that happens to one board or worker.
type event struct {
	at   time.Duration
	seq  uint32 // breaks ties: first in, first out
	of   int32  // the board or worker
	with int32  // the worker of a board's event
	gen  uint16 // of the board: one of an earlier try is void
	kind kind
}

// calendar is a queue of events by time: a calendar queue (Brown 1988), of which only the
// bucket of the moment is sorted.
type calendar struct {
	width   time.Duration
	buckets [][]event
	now     int // the bucket that is sorted
	next    int // in it
	seq     uint32
}

func newCalendar(end, width time.Duration) *calendar {
	return &calendar{width: width, buckets: make([][]event, int(end/width)+1)}
}

// add puts an event in; one after the end never happens.
func (c *calendar) add(e event) {
	at := int(e.at / c.width)
	if at >= len(c.buckets) {
		return
	}
	c.seq++
	e.seq = c.seq
	b := c.buckets[at]
	if at != c.now {
		c.buckets[at] = append(b, e)
		return
	}
	i, _ := slices.BinarySearchFunc(b[c.next:], e, before)
	c.buckets[at] = slices.Insert(b, c.next+i, e)
}

// pop takes the next event, false once there is none.
func (c *calendar) pop() (event, bool) {
	for ; c.now < len(c.buckets); c.now, c.next = c.now+1, 0 {
		b := c.buckets[c.now]
		if c.next == 0 {
			slices.SortFunc(b, before)
		}
		if c.next < len(b) {
			c.next++
			return b[c.next-1], true
		}
		c.buckets[c.now] = nil // memory of what has been
	}
	return event{}, false
}

func before(a, b event) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq)) }
