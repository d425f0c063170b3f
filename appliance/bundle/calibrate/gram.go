package calibrate

import (
	"fmt"

	"gonum.org/v1/gonum/mat"

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
	chunk  []float32 // scratch [d][d]
}

func newGram(d int) *gram {
	return &gram{d: d, sx: make([]float64, d), sy: make([]float64, d), xx: make([]float64, d*d), yx: make([]float64, d*d), chunk: make([]float32, d*d)}
}

// add takes rows transposed, xt and yt [d][n], as the products want them.
func (g *gram) add(f *engine.Fitter, xt, yt []float32) error {
	n := len(xt) / g.d
	for _, p := range []struct {
		sum  []float64
		a, b []float32
	}{{g.xx, xt, xt}, {g.yx, yt, xt}} {
		if err := f.MulT(g.chunk, p.a, p.b, n); err != nil {
			return err
		}
		for i, v := range g.chunk {
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

// ridge is the strength of the penalty, as a share of the mean variance of x.
const ridge = 1e-3

// solve returns the translator [d][d] and bias [d] that minimize
// Σ|T·x + b - y|² + λ|T|².
func (g *gram) solve() (t, b []float32, err error) {
	d := g.d
	if g.n < 2 {
		return nil, nil, fmt.Errorf("%g positions are too few to fit a head to", g.n)
	}
	cov := mat.NewSymDense(d, nil)
	trace := 0.0
	for i := range d {
		for j := i; j < d; j++ {
			cov.SetSym(i, j, g.xx[i*d+j]-g.sx[i]*g.sx[j]/g.n)
		}
		trace += cov.At(i, i)
	}
	lambda := ridge*trace/float64(d) + 1e-12
	for i := range d {
		cov.SetSym(i, i, cov.At(i, i)+lambda)
	}
	cross := mat.NewDense(d, d, nil) // Σ(x-x̄)(y-ȳ)ᵀ
	for i := range d {
		for j := range d {
			cross.Set(j, i, g.yx[i*d+j]-g.sy[i]*g.sx[j]/g.n)
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(cov) {
		return nil, nil, fmt.Errorf("the hidden states do not span %d dimensions: give more text", d)
	}
	var sol mat.Dense // [d of x][d of y]
	if err := chol.SolveTo(&sol, cross); err != nil {
		return nil, nil, fmt.Errorf("the regression cannot be solved: %w", err)
	}
	t, b = make([]float32, d*d), make([]float32, d)
	for i := range d {
		mean := g.sy[i]
		for j := range d {
			v := sol.At(j, i)
			t[i*d+j] = float32(v)
			mean -= v * g.sx[j]
		}
		b[i] = float32(mean / g.n)
	}
	return t, b, nil
}
