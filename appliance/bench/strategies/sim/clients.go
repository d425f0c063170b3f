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

// Request is what a client wants of the cloud: rows from a time on, in seconds, and before them
// drafts that the cloud makes for it alone and which take so long. Of the last Want rows it wants
// logits, and the last Lost of all turn out to be wrong: the cloud is to forget them.
type Request struct {
	At         float64
	Rows       int
	Drafts     float64
	Want, Lost int
	First      bool // of an answer
}

// request is one of a client.
type request struct {
	Request
	client *client
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
func (st Strategy) Shares() bool {
	return st.Kind == CloudOnly || st.Kind == CloudDraft || st.Kind == Split || st.Kind == Verified
}

// share is the part of a pass that the cloud computes.
func (s Setting) share(st Strategy) float64 {
	if st.IDs || st.Kind == CloudOnly || st.Kind == CloudDraft {
		return 1
	}
	return 1 - s.Exit1
}

// P95 is the time for a token, in seconds, that 95 of 100 answers of n clients of one cloud keep
// to, over the answer from its first token on.
func (s Setting) P95(st Strategy, answers []Answer, n int) float64 {
	answers = slices.DeleteFunc(slices.Clone(answers), func(a Answer) bool { return len(a.Tokens) == 0 })
	if len(answers) == 0 || n < 1 || !st.Shares() {
		return math.NaN()
	}
	end, settled := playFor*s.T, settleFor*s.T
	every := s.Every(answers)
	clients := make([]*client, n)
	var waiting queue
	share, way := s.share(st), s.way(st, answers)
	for i := range clients {
		c := &client{}
		clients[i] = c
		c.next, c.stop = iter.Pull(s.requests(st, way, answers, c, Pace{i, every * float64(i) / float64(n), every, settled, end}))
		defer c.stop()
		if r, ok := c.next(); ok {
			heap.Push(&waiting, r)
		}
	}
	most := s.room(share)
	for free := 0.0; len(waiting) > 0; {
		begin := max(free, waiting[0].At)
		if begin >= end {
			break
		}
		var batch []request
		for len(waiting) > 0 && waiting[0].At <= begin {
			batch = append(batch, heap.Pop(&waiting).(request))
		}
		free = begin
		for i := range batch {
			free += batch[i].Drafts
			batch[i].Drafts = 0
		}
		free += s.pass(s.T, grant(batch, most), share)
		for _, r := range batch {
			if r.Rows > 0 { // the rest of a prompt
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

// Every is how often a client has an answer to give.
func (s Setting) Every(answers []Answer) float64 {
	tokens := 0
	for _, a := range answers {
		tokens += len(a.Tokens)
	}
	return 2 * s.T * float64(tokens) / float64(len(answers))
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
			if r.Rows > 0 {
				wanting++
			}
		}
		if wanting == 0 {
			break
		}
		each := max(left/wanting, 1)
		for i := range batch {
			k := min(each, batch[i].Rows, left)
			batch[i].Rows -= k
			left -= k
			rows += k
		}
	}
	return rows
}

// requests are those of a client that answers without end.
func (s Setting) requests(st Strategy, way func(*play, Answer), answers []Answer, c *client, p Pace) iter.Seq[request] {
	return func(yield func(request) bool) {
		s.serve(st, way, answers, p, c, func(r Request) (float64, bool) {
			if !yield(request{Request: r, client: c}) {
				return 0, false
			}
			return c.done, true
		})
	}
}

// Pace is when a client has answers to give: at Start and each so often, beginning with the answer
// that is its turn, until End. Tokens of answers that begin before Settled do not count. Times are
// in seconds.
type Pace struct {
	Turn                       int
	Start, Every, Settled, End float64
}

// Serve plays one client of a cloud that the caller is: it is told what is to be computed, and says
// when it was, or false to end. Serve returns the time for a token of each answer, over the answer from
// its first token on. The answers have tokens.
func (s Setting) Serve(st Strategy, answers []Answer, p Pace, cloud func(Request) (done float64, ok bool)) []float64 {
	c := &client{}
	s.serve(st, s.way(st, answers), answers, p, c, cloud)
	return c.times
}

func (s Setting) serve(st Strategy, way func(*play, Answer), answers []Answer, pace Pace, c *client, cloud func(Request) (float64, bool)) {
	now := pace.Start
	for over := false; !over && now < pace.End; pace.Turn++ {
		p := newPlay(s, st)
		p.now, p.far, p.wire.free = now, now, now
		p.cloud = func(r Request) float64 {
			done, ok := 0., false
			if !over {
				done, ok = cloud(r)
			}
			if !ok {
				over = true
				return r.At
			}
			return done
		}
		p.out = func() {
			if p.Tokens == 0 {
				c.first = p.now
			}
			c.last = p.now
		}
		way(p, answers[pace.Turn%len(answers)])
		if n := p.Tokens - 1; n > 0 && c.first >= pace.Settled && !over {
			c.times = append(c.times, (c.last-c.first)/float64(n))
		}
		pace.Start += pace.Every
		now = max(p.now, pace.Start)
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

// queue is a heap of requests by time.
type queue []request

func (r queue) Len() int           { return len(r) }
func (r queue) Less(i, j int) bool { return r[i].At < r[j].At }
func (r queue) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *queue) Push(x any)        { *r = append(*r, x.(request)) }
func (r *queue) Pop() any {
	n := len(*r) - 1
	x := (*r)[n]
	*r = (*r)[:n]
	return x
}
