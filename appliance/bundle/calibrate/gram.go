package calibrate

import (
	"context"
	"errors"
	"fmt"

	"gonum.org/v1/gonum/blas/blas64"

	"skerry/appliance/engine"
)

// gram accumulates, over rows x and y [n][d], the sums of ridge regression with an
// intercept: Σx, Σy, Σxxᵀ and Σyxᵀ. Products of a chunk are float32, their sums
// float64.
type gram struct {
	d      int
	n      float64
	sx, sy []float64
	xx, yx []float64 // [d][d], row by row
}

func newGram(d int) *gram {
	return &gram{d: d, sx: make([]float64, d), sy: make([]float64, d), xx: make([]float64, d*d), yx: make([]float64, d*d)}
}

// add takes rows transposed, xt and yt [d][n], as the products want them, and uses scratch
// [d][d].
func (g *gram) add(f *engine.Fitter, xt, yt, scratch []float32) error {
	n := len(xt) / g.d
	for _, p := range []struct {
		sum  []float64
		a, b []float32
	}{{g.xx, xt, xt}, {g.yx, yt, xt}} {
		if err := f.MulT(scratch, p.a, p.b, n); err != nil {
			return err
		}
		for i, v := range scratch {
			p.sum[i] += float64(v)
		}
	}
	for i := range g.d {
		for _, v := range xt[i*n : (i+1)*n] {
			g.sx[i] += float64(v)
		}
		for _, v := range yt[i*n : (i+1)*n] {
			g.sy[i] += float64(v)
		}
	}
	g.n += float64(n)
	return nil
}

// solveRows of a translator are solved for at once.
const solveRows = 64

// ridge is the strength of the penalty, as a share of the mean variance of x.
const ridge = 1e-3

// solve returns the translator [d][d] and bias [d] that minimize
// Σ|T·x + b - y|² + λ|T|². It uses the sums up.
func (g *gram) solve(ctx context.Context) (t, b []float32, err error) {
	d := g.d
	if g.n < 2 {
		return nil, nil, fmt.Errorf("%g positions are too few to fit a head to", g.n)
	}
	trace := 0.0
	for i := range d { // Σ(x-x̄)(x-x̄)ᵀ, of which the upper triangle is used
		for j := i; j < d; j++ {
			g.xx[i*d+j] -= g.sx[i] * g.sx[j] / g.n
		}
		trace += g.xx[i*d+i]
	}
	lambda := ridge*trace/float64(d) + 1e-12
	for i := range d {
		g.xx[i*d+i] += lambda
	}
	chol, err := factorize(ctx, g.xx, d)
	if errors.Is(err, errNotDefinite) {
		return nil, nil, fmt.Errorf("the hidden states do not span %d dimensions: give more text", d)
	}
	if err != nil {
		return nil, nil, err
	}
	t, b = make([]float32, d*d), make([]float32, d)
	some := blas64.General{Rows: d, Stride: solveRows, Data: make([]float64, d*solveRows)}
	for at := 0; at < d; at += solveRows {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		some.Cols = min(solveRows, d-at)
		for i := range some.Cols { // Σ(x-x̄)(y-ȳ)ᵀ of some y
			for j := range d {
				some.Data[j*solveRows+i] = g.yx[(at+i)*d+j] - g.sy[at+i]*g.sx[j]/g.n
			}
		}
		chol.solve(some)
		for i := range some.Cols {
			mean := g.sy[at+i]
			for j := range d {
				v := some.Data[j*solveRows+i]
				t[(at+i)*d+j] = float32(v)
				mean -= v * g.sx[j]
			}
			b[at+i] = float32(mean / g.n)
		}
	}
	return t, b, nil
}
