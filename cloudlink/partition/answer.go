package partition

import (
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"skerry/cloudlink/rank"
	"skerry/cloudlink/wire"
)

// row is what answers are made of: one row of logits of a forward pass. It does
// not change once it is made.
type row struct {
	sum  float64          // log-sum-exp
	best []rank.Candidate // the largest, best first: as many as asks wanted, at least two
	all  []float32        // [n_vocab]float32, nil where nobody wants them
}

// quickBest is how many logits an answer may have that is made of row.best while others
// wait. More, a masked or a whole row are large: each costs a sort or a copy of a
// vocabulary, or of many rows.
const quickBest = 1024

// askOverhead is about what an ask takes that waits, beside its mask.
const askOverhead = 512

// reduce makes what is wanted of the rows of a forward pass, [m][n_vocab]float32. It is
// most of the work of an answer, a millisecond for a large vocabulary: it is done without
// mu, and the rows of many sessions share the cores. A pass that failed has no rows.
func (b *batch) reduce(logits []float32, vocab int) []row {
	out := make([]row, len(logits)/vocab)
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	next := 0
	for _, j := range b.jobs {
		for _, w := range j.wanted {
			if next == len(out) {
				break
			}
			made, r := &out[next], logits[next*vocab:][:vocab]
			next++
			g.Go(func() error {
				*made = row{sum: rank.LogSumExp(r), best: rank.Top(r, w.best)}
				if w.all {
					made.all = slices.Clone(r) // the stage will use its own again
				}
				return nil
			})
		}
	}
	g.Wait()
	return out
}

// answer answers an ask that has its rows: at once where that takes no more than
// copying the best of them, else in the session's own time. The scheduler's mu is
// held.
func (t *tail) answer(a *ask, queue time.Duration) {
	quick := a.candidates(t.vocab())*a.Wanted() <= quickBest
	for i, r := range a.got {
		if !r.serves(a, t.vocab()) { // it was asked for while it was computed
			t.refuseComputed(a, a.First()+i)
			return
		}
		quick = quick && r.suffices(a, t.vocab())
	}
	if a.local != nil {
		a.local <- localRows{rows: a.got, queue: queue, compute: a.compute}
		return
	}
	m := newLargeAnswer(a, queue)
	switch {
	case quick:
		t.reply(m.message())
	case t.queueLarge == nil || t.mem.asksFull(t.device.account, a.bytes) && !a.taken:
		t.busy(a, "the asks that wait take all the room there is for them")
	default:
		m.account = t.device.account
		t.mem.holdAsks(m.account, a.bytes, 1)
		if !t.queueLarge(m) {
			t.mem.holdAsks(m.account, -a.bytes, -1)
			t.busy(a, "too many large answers wait")
		}
	}
}

// largeAnswer is an answer that is yet to be made.
type largeAnswer struct {
	ask     *wire.Ask
	mask    rank.IDSet
	bytes   int64    // that it counts for until it is made
	account *account // for which
	got     []row    // of the ask
	queue   time.Duration
	compute time.Duration
	rows    int
}

func newLargeAnswer(a *ask, queue time.Duration) *largeAnswer {
	return &largeAnswer{ask: a.Ask, mask: a.mask, bytes: a.bytes, got: a.got, queue: queue, compute: a.compute, rows: a.rows}
}

// message picks from the rows what the ask wants.
func (l *largeAnswer) message() *wire.Answer {
	var ids []int32
	var logits []float32
	var before []float64
	last := len(l.got) - 1
	for i, r := range l.got {
		switch whole := l.ask.TopK == 0 && l.mask == nil; {
		case whole && last == 0:
			logits = r.all
		case whole:
			logits = append(logits, r.all...)
		default:
			for _, c := range l.pick(r) {
				ids, logits = append(ids, c.ID), append(logits, c.Logit)
			}
		}
		if i < last {
			before = append(before, r.sum)
		}
	}
	m := wire.NewAnswer(l.ask, ids, logits, before...)
	m.LogSumExp = l.got[last].sum
	m.Queue = uint64(max(l.queue, 0).Microseconds())
	m.Compute = uint64(l.compute.Microseconds())
	m.Rows = uint32(l.rows)
	return m
}

// pick returns the candidates of a row that the ask wants, best first.
func (l *largeAnswer) pick(r row) []rank.Candidate {
	switch k := int(l.ask.TopK); {
	case l.mask != nil:
		return rank.Among(r.all, l.mask, min(k, len(r.all)))
	case r.all != nil:
		return rank.Top(r.all, min(k, len(r.all)))
	default:
		return r.best[:min(k, len(r.best))]
	}
}

// queueLarge has a large answer made and never waits. It reports false where too many
// are waiting to be made already.
func (s *session) queueLarge(l *largeAnswer) bool {
	select {
	case s.largeAnswers <- l:
		return true
	default:
		return false
	}
}

// makeLargeAnswers makes the large answers of a session: of a device one at a time, and
// in at most half of one core's time, so that only its own answers are the later for it.
func (s *session) makeLargeAnswers() {
	for l := range s.largeAnswers {
		if !s.out.Closed() {
			l.account.makingLarge.Lock()
			began := time.Now()
			s.reply(l.message())
			if took := time.Since(began); took > time.Millisecond {
				time.Sleep(took)
			}
			l.account.makingLarge.Unlock()
		}
		s.conn.srv.mem.holdAsks(l.account, -l.bytes, -1)
	}
}
