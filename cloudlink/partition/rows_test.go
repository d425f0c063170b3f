package partition

import (
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
