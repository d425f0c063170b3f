package sim

import (
	"container/heap"
	"iter"
	"math"
	"slices"
	"sort"
)

// This file plays many clients of one cloud at a time. Each answers by a strategy, at an edge
// and over a link of its own; the cloud computes what waits in shared passes, as the partition's
// scheduler does. A client has an answer to give at the same times whatever the strategy, and
// gives it later only where it has not finished the one before: who answers faster rests
// longer. Answers begin as often as leaves the whole model alone, with nobody beside, at rest
// half of the time.

const (
	// MostClients is how many clients are tried.
	MostClients = 256
	// passFor is what a pass may take, in seconds, so that a long prompt does not hold up the
	// others; one whose fixed cost is higher may take twice that: as the scheduler has it.
	passFor = 0.04
	// playFor is how long clients are played in passes of a row, and settleFor how long before
	// their tokens count.
	playFor, settleFor = 800, 100
)

// request is what a client wants of the cloud: rows from a time on.
type request struct {
	client *client
	at     float64
	rows   int
}

// client is one client being played. Between two requests it runs as a coroutine.
type client struct {
	next func() (request, bool)
	stop func()
	done float64 // when the cloud had computed the last request

	first, last float64 // when the first token of the answer was out, and the last
	times       []float64
}

// Shares reports whether the strategy can be played by many clients.
func (st Strategy) Shares() bool { return st.Kind == CloudOnly || st.Kind == Split && !st.Drafts }

// P95 is the time for a token, in seconds, that 95 of 100 answers of n clients of one cloud keep
// to, over the answer from its first token on.
func (s Setting) P95(st Strategy, answers []Answer, n int) float64 {
	answers = slices.DeleteFunc(slices.Clone(answers), func(a Answer) bool { return len(a.Tokens) == 0 })
	if len(answers) == 0 || n < 1 || !st.Shares() {
		return math.NaN()
	}
	end, settled := playFor*s.T, settleFor*s.T
	tokens := 0
	for _, a := range answers {
		tokens += len(a.Tokens)
	}
	every := 2 * s.T * float64(tokens) / float64(len(answers))
	clients := make([]*client, n)
	var waiting requests
	share := 1.0
	for i := range clients {
		c := &client{}
		clients[i] = c
		c.next, c.stop = iter.Pull(s.run(st, answers, c, i, every*float64(i)/float64(n), every, settled))
		defer c.stop()
		if r, ok := c.next(); ok {
			heap.Push(&waiting, r)
		}
	}
	if st.Kind != CloudOnly {
		share = 1 - s.Exit1
	}
	most := s.room(share)
	for free := 0.0; len(waiting) > 0; {
		begin := max(free, waiting[0].at)
		if begin >= end {
			break
		}
		var batch []request
		for len(waiting) > 0 && waiting[0].at <= begin {
			batch = append(batch, heap.Pop(&waiting).(request))
		}
		rows := grant(batch, most)
		free = begin + s.pass(s.T, rows, share)
		for _, r := range batch {
			if r.rows > 0 { // the rest of a prompt
				heap.Push(&waiting, r)
				continue
			}
			r.client.done = free
			if next, ok := r.client.next(); ok {
				heap.Push(&waiting, next)
			}
		}
	}
	var all []float64
	for _, c := range clients {
		all = append(all, c.times...)
	}
	if len(all) == 0 {
		return math.Inf(1)
	}
	slices.Sort(all)
	return all[min(len(all)-1, len(all)*95/100)]
}

// room is how many rows fit in a pass.
func (s Setting) room(share float64) int {
	fixed, row := s.T*share*(1-s.M), s.T*share*s.M
	return max(1, int(min(max(passFor-fixed, fixed)/row, 4*MostClients)))
}

// grant takes rows off requests, up to most in all, the same of each that has as many and of those
// that came first where there are too many, and returns how many.
func grant(batch []request, most int) (rows int) {
	for left := most; left > 0; {
		wanting := 0
		for _, r := range batch {
			if r.rows > 0 {
				wanting++
			}
		}
		if wanting == 0 {
			break
		}
		each := max(left/wanting, 1)
		for i := range batch {
			k := min(each, batch[i].rows, left)
			batch[i].rows -= k
			left -= k
			rows += k
		}
	}
	return rows
}

// run answers without end, at start and each so often, beginning with the answer that is the
// client's turn. What the cloud is to compute is yielded.
func (s Setting) run(st Strategy, answers []Answer, c *client, turn int, start, every, settled float64) iter.Seq[request] {
	return func(yield func(request) bool) {
		now := start
		for over := false; !over; turn++ {
			p := newPlay(s, st)
			p.now, p.far, p.wire.free = now, now, now
			p.cloud = func(at float64, rows int) float64 {
				if over || !yield(request{client: c, at: at, rows: rows}) {
					over = true
					return at
				}
				return c.done
			}
			p.out = func() {
				if p.Tokens == 0 {
					c.first = p.now
				}
				c.last = p.now
			}
			if st.Kind == CloudOnly {
				p.cloudOnly(answers[turn%len(answers)])
			} else {
				p.split(answers[turn%len(answers)])
			}
			if n := p.Tokens - 1; n > 0 && c.first >= settled && !over {
				c.times = append(c.times, (c.last-c.first)/float64(n))
			}
			start += every
			now = max(p.now, start)
			if p.Asks == 0 { // it never needs the cloud
				over = now > playFor*s.T
			}
		}
	}
}

// Clients is how many clients of a strategy one cloud serves so that 95 of 100 answers take no
// more than the given time for a token, MostClients at most and 0 where not even one does.
func (s Setting) Clients(st Strategy, answers []Answer, within float64) int {
	enough := func(n int) bool { return !(s.P95(st, answers, n) <= within*(1+1e-9)) }
	from, most := 0, 1
	for ; most <= MostClients && !enough(most); most *= 2 {
		from = most
	}
	most = min(most, MostClients+1)
	return from + sort.Search(most-from-1, func(n int) bool { return enough(from + n + 1) })
}

// requests is a heap of them by time.
type requests []request

func (r requests) Len() int           { return len(r) }
func (r requests) Less(i, j int) bool { return r[i].at < r[j].at }
func (r requests) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *requests) Push(x any)        { *r = append(*r, x.(request)) }
func (r *requests) Pop() any {
	n := len(*r) - 1
	x := (*r)[n]
	*r = (*r)[:n]
	return x
}
