package partition

import (
	"log/slog"
	"math/rand/v2"
	"testing"

	"skerry/cloudlink/rank"
	"skerry/cloudlink/wire"
)

// What is kept of a session is the end of what was delivered, in bounded memory, and only
// the newest row is whole.
func TestKeptRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	var k keptRows
	delivered := map[int]float64{} // the sums of the newest run, by position
	pos := 0
	for range 20000 {
		switch {
		case rng.IntN(20) == 0: // a row or more is passed over
			pos += 1 + rng.IntN(5)
			clear(delivered)
		case rng.IntN(10) == 0:
			pos = max(pos-rng.IntN(12), 0)
			k.truncate(pos)
			for p := range delivered {
				if p >= pos {
					delete(delivered, p)
				}
			}
			if _, ok := delivered[pos-1]; !ok {
				clear(delivered)
			}
		}
		sum := rng.Float64()
		k.add(pos, row{sum: sum, best: make([]rank.Candidate, 1+rng.IntN(200)), all: make([]float32, 1)})
		delivered[pos] = sum
		pos++
		best, whole := 0, 0
		for i, r := range k.rows {
			if delivered[k.from+i] != r.sum {
				t.Fatalf("the row at %d is another", k.from+i)
			}
			best += len(r.best)
			whole += len(r.all)
		}
		if best != k.best || best > maxKept || len(k.rows) > wire.MaxAskRows || whole != 1 || k.from+len(k.rows) != pos {
			t.Fatalf("%d rows up to %d of %d, %d candidates said to be %d, %d whole", len(k.rows), k.from+len(k.rows), pos, best, k.best, whole)
		}
	}
}

// A pass makes no more rows of logits than there is memory for: what is wanted behind them
// comes with the next. Rows of which none are wanted take no part in it.
func TestPassBoundsLogits(t *testing.T) {
	s := &scheduler{bundle: Bundle{Stage: bigStage{}}, mem: &memory{budget: 1 << 30}}
	tl := newTail(0, 1024, 1024, bigStage{}.Width())
	tl.sched, tl.mem, tl.started = s, s.mem, true
	tl.device = &deviceFlow{account: newAccount("", Quota{}, slog.New(slog.DiscardHandler))}
	tl.queue.Append(0, make([]float32, 100*bigStage{}.Width()))
	m := wire.NewAsk(wire.Ref{Position: 79}, 1, 1, nil)
	m.Rows = 40
	a := &ask{Ask: m}
	tl.asks = append(tl.asks, a)
	b := newBatch(bigStage{}) // of a row of 4 MiB
	for _, want := range []struct{ rows, asked int }{{40 + 16, 16}, {16, 16}, {8 + 20, 8}} {
		b.reset()
		if n := b.add(tl, 100); n != want.rows || b.asked != want.asked || b.rows.Len() != n {
			t.Fatalf("%d rows, logits of %d, want %+v", n, b.asked, want)
		}
		wanted, last := 0, -1
		for i, w := range b.rows.Wanted {
			if pos := int(b.rows.Pos[i]); w {
				wanted++
				last = pos
			}
		}
		if wanted != want.asked {
			t.Errorf("logits of %d rows are marked", wanted)
		}
		b.landed()
		for pos := last + 1 - wanted; pos <= last; pos++ {
			a.got = append(a.got, row{})
		}
	}
}
