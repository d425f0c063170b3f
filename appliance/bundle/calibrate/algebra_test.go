package calibrate

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"skerry/appliance/engine"
)

func fitter(t *testing.T) *engine.Fitter {
	t.Helper()
	f, err := engine.NewFitter(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func normal(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// affine gives T·x+b for rows of x.
func affine(t, b, x []float32) []float32 {
	d := len(b)
	y := make([]float32, len(x))
	for r := 0; r < len(x); r += d {
		for i := range d {
			y[r+i] = b[i]
			for j := range d {
				y[r+i] += t[i*d+j] * x[r+j]
			}
		}
	}
	return y
}

// From states that an affine map made, the regression finds the map, whatever the
// size of the chunks they came in.
func TestRidgeFindsAnAffineMap(t *testing.T) {
	const d, n = 16, 2*chunkRows + 77
	r := rand.New(rand.NewPCG(1, 1))
	wantT, wantB := normal(r, d*d), normal(r, d)
	s := newFit(fitter(t), norm{slices.Repeat([]float32{1}, d), 0}, 1, 100, 1)
	for at := 0; at < n; {
		rows := min(1+r.IntN(90), n-at)
		x := normal(r, rows*d)
		for i := range rows {
			s.norm.apply(x[i*d:(i+1)*d], x[i*d:(i+1)*d])
		}
		y := affine(wantT, wantB, x)
		// The sink norms what it takes, so the map must survive that: y is fed by the
		// transposed chunk itself.
		for i := range rows {
			for j := range d {
				s.chunk[0][j*chunkRows+s.at], s.chunk[1][j*chunkRows+s.at] = x[i*d+j], y[i*d+j]
			}
			if s.at++; s.at == chunkRows {
				if err := s.flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		at += rows
	}
	if err := s.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.grams[0].n != n {
		t.Fatalf("%g positions counted of %d", s.grams[0].n, n)
	}
	gotT, gotB, err := s.grams[0].solve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range gotT {
		if math.Abs(float64(gotT[i]-wantT[i])) > 0.05 {
			t.Fatalf("translator [%d] is %g, not %g", i, gotT[i], wantT[i])
		}
	}
	for i := range gotB {
		if math.Abs(float64(gotB[i]-wantB[i])) > 0.05 {
			t.Fatalf("bias [%d] is %g, not %g", i, gotB[i], wantB[i])
		}
	}
	if _, _, err := newGram(d).solve(t.Context()); err == nil {
		t.Error("a head from nothing")
	}
}

func TestNorm(t *testing.T) {
	n := norm{[]float32{1, 2}, 0}
	out := make([]float32, 2)
	n.apply([]float32{3, 4}, out)
	rms := math.Sqrt((9 + 16) / 2.)
	if math.Abs(float64(out[0])-3/rms) > 1e-6 || math.Abs(float64(out[1])-8/rms) > 1e-6 {
		t.Errorf("%v", out)
	}
}

// The descent brings a head that says little close to one that is there to be found.
func TestRefineLowersTheDivergence(t *testing.T) {
	const d, vocab, n = 16, 60, 600
	r := rand.New(rand.NewPCG(5, 5))
	f := fitter(t)
	if err := f.SetLM(normal(r, vocab*d), d); err != nil {
		t.Fatal(err)
	}
	wantT, wantB := normal(r, d*d), normal(r, d)
	for i := range wantT {
		wantT[i] *= 0.3
	}
	s := newSample(2*d, n, 1)
	for range n {
		x := normal(r, d)
		s.add(x, affine(wantT, wantB, x))
	}
	fit := func(seed uint64) (tr, b []float32, first, last float64) {
		tr, b = make([]float32, d*d), make([]float32, d)
		ref := &refiner{f: f, s: s, d: d, steps: 400, rate: 0.02, seed: seed}
		err := ref.run(context.Background(), tr, b, func(step int, loss float64) {
			if step == 1 {
				first = loss
			}
			last = loss
		})
		if err != nil {
			t.Fatal(err)
		}
		return tr, b, first, last
	}
	tr, b, first, last := fit(7)
	if !(last < first/20) {
		t.Errorf("divergence from %g to %g", first, last)
	}
	again, bias, _, _ := fit(7)
	if !slices.Equal(tr, again) || !slices.Equal(b, bias) {
		t.Error("the same seed gives another head")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ref := &refiner{f: f, s: s, d: d, steps: 400, rate: 0.02}
	if err := ref.run(ctx, tr, b, func(int, float64) {}); err == nil {
		t.Error("a cancelled descent goes on")
	}
}

// The sample is bounded, keeps what it takes to within bfloat16, and takes late
// positions as gladly as early ones.
func TestSample(t *testing.T) {
	const limit, n = 200, 4000
	s := newSample(2, limit, 3)
	for i := range n {
		s.add([]float32{float32(i)}, []float32{-float32(i)})
	}
	if s.len() != limit {
		t.Fatalf("%d positions, not %d", s.len(), limit)
	}
	late := 0
	v := make([]float32, 1)
	w := make([]float32, 1)
	for i := range limit {
		s.part(i, 0, v)
		s.part(i, 1, w)
		if v[0] != -w[0] {
			t.Fatalf("position %d: %g and %g", i, v[0], w[0])
		}
		if v[0] >= n/2 {
			late++
		}
	}
	if late < limit/3 || late > 2*limit/3 {
		t.Errorf("%d of %d are from the later half", late, limit)
	}
	if big := newSample(1<<20, 1<<20, 1); big.limit*big.width*2 > sampleBytes {
		t.Errorf("%d positions of %d bytes", big.limit, 2<<20)
	}
}
