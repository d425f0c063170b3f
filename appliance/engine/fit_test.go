package engine_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"skerry/appliance/engine"
)

func uniform(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.Float64() - 0.5)
	}
	return v
}

func TestMulT(t *testing.T) {
	f, err := engine.NewFitter(1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(1, 2))
	const m, n, k = 7, 33, 100
	a, b, out := uniform(r, m*k), uniform(r, n*k), make([]float32, m*n)
	if err := f.MulT(out, a, b, k); err != nil {
		t.Fatal(err)
	}
	for i := range m {
		for j := range n {
			want := 0.0
			for l := range k {
				want += float64(a[i*k+l]) * float64(b[j*k+l])
			}
			if math.Abs(want-float64(out[i*n+j])) > 1e-4 {
				t.Fatalf("[%d][%d] is %g, not %g", i, j, out[i*n+j], want)
			}
		}
	}
	if f.MulT(out[1:], a, b, k) == nil || f.MulT(out, a[1:], b, k) == nil || f.SetLM(nil, k) == nil {
		t.Error("wrong shapes are taken")
	}
}

// The gradient is that of the divergence, by finite differences.
func TestGradient(t *testing.T) {
	f, err := engine.NewFitter(1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(3, 4))
	const d, n, vocab = 16, 5, 40
	x, y, tr, b := uniform(r, n*d), uniform(r, n*d), uniform(r, d*d), uniform(r, d)
	grad, gradB := make([]float32, d*d), make([]float32, d)
	if _, err := f.Gradient(x, y, tr, b, grad, gradB, true); err == nil {
		t.Error("a gradient without an LM head")
	}
	lm := uniform(r, vocab*d)
	for i := range lm {
		lm[i] *= 4
	}
	if err := f.SetLM(lm, d); err != nil {
		t.Fatal(err)
	}
	loss := func() float64 {
		l, err := f.Gradient(x, y, tr, b, make([]float32, d*d), make([]float32, d), true)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	if _, err := f.Gradient(x, y, tr, b, grad, gradB, false); err != nil {
		t.Fatal(err)
	}
	check := func(what string, v *float32, got float32) {
		const h = 1e-2
		was := *v
		*v = was + h
		up := loss()
		*v = was - h
		down := loss()
		*v = was
		if want := (up - down) / (2 * h); math.Abs(want-float64(got)) > 2e-3+0.02*math.Abs(want) {
			t.Errorf("%s: gradient %g, by differences %g", what, got, want)
		}
	}
	for _, i := range []int{0, 5, d + 1, d*d - 1} {
		check("translator", &tr[i], grad[i])
	}
	for _, i := range []int{0, d - 1} {
		check("bias", &b[i], gradB[i])
	}
}
