package calibrate

import (
	"context"

	"skerry/appliance/engine"
)

// fit takes the fitted texts: the sums of the regression for every
// depth, and the sample for the descent.
type fit struct {
	f      *engine.Fitter
	norm   norm
	d      int
	grams  []*gram
	sample *sample
	n      int
	// A chunk of normed states, transposed as the products want them: by depth and
	// then the last, [d][chunkRows].
	chunk   [][]float32
	at      int
	scratch []float32 // [d][d]
	row     [][]float32
}

// chunkRows is how many positions are multiplied at once.
const chunkRows = 512

func newFit(f *engine.Fitter, n norm, depths int, want int, seed uint64) *fit {
	d := len(n.weight)
	t := &fit{f: f, norm: n, d: d, sample: newSample((depths+1)*d, want, seed), scratch: make([]float32, d*d)}
	for range depths {
		t.grams = append(t.grams, newGram(d))
	}
	for range depths + 1 {
		t.chunk = append(t.chunk, make([]float32, d*chunkRows))
		t.row = append(t.row, make([]float32, d))
	}
	return t
}

func (t *fit) take(ctx context.Context, doc *document) error {
	depths := len(t.grams)
	h := make([]float32, t.d)
	for i := range doc.rows() {
		for k := range depths + 1 {
			doc.stream(i, k, depths, h)
			t.norm.apply(h, t.row[k])
			for j, v := range t.row[k] {
				t.chunk[k][j*chunkRows+t.at] = v
			}
		}
		t.sample.add(t.row...)
		t.n++
		if t.at++; t.at == chunkRows {
			if err := t.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush adds the chunk to the sums; what a short one leaves empty is zero and adds
// nothing but to the count, which is set right.
func (t *fit) flush(ctx context.Context) error {
	if t.at == 0 {
		return nil
	}
	if t.at < chunkRows {
		for _, c := range t.chunk {
			for j := range t.d {
				clear(c[j*chunkRows+t.at : (j+1)*chunkRows])
			}
		}
	}
	last := t.chunk[len(t.grams)]
	for k, g := range t.grams {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := g.add(t.f, t.chunk[k], last, t.scratch); err != nil {
			return err
		}
		g.n -= float64(chunkRows - t.at)
	}
	t.at = 0
	return nil
}
