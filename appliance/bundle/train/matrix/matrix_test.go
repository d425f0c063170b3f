package matrix

import (
	"math"
	"math/rand/v2"
	"testing"

	"skerry/build/testseed"
)

// eachLevel has a test run with the instructions of every processor, and of every better one that
// this one is.
func eachLevel(t *testing.T, test func(t *testing.T)) {
	defer atMost(levels - 1)
	for level := range levels {
		if atMost(level) != level {
			continue // this processor has none of these
		}
		t.Run([]string{"plain", "AVX2", "AVX-512"}[level], test)
	}
}

// Products agree with the sums that define them, whatever the shapes, the strides and the
// number of threads.
func TestProductsAreSums(t *testing.T) { eachLevel(t, productsAreSums) }

func productsAreSums(t *testing.T) {
	r := testseed.Rand(t)
	random := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return v
	}
	for i := range 42 {
		m, n, k := 1+r.IntN(110), 1+r.IntN(60), 1+r.IntN(300)
		if i >= 40 { // wider than what is computed at once
			m, n, k = 1+r.IntN(20), 1530+r.IntN(100), 1+r.IntN(20)
		}
		a, b := Of(random(m*k), k), Of(random(k*n), n)
		if r.IntN(2) == 0 {
			a = Of(random(m*k), m).T()
		}
		if r.IntN(2) == 0 {
			b = Of(random(n*k), k).T()
		}
		before := random(m * (n + 3))
		got := append([]float32(nil), before...)
		c := Of(got, n+3).Columns(2, n)
		add := r.IntN(2) == 0
		if add {
			MulAdd(1+r.IntN(3), c, a, b)
		} else {
			Mul(1+r.IntN(3), c, a, b)
		}
		for i := range m {
			for j := range n + 3 {
				want := float64(before[i*(n+3)+j])
				if x := j - 2; x >= 0 && x < n {
					if !add {
						want = 0
					}
					for p := range k {
						want += float64(a.Data[i*a.Row+p*a.Col]) * float64(b.Data[p*b.Row+x*b.Col])
					}
				}
				if d := math.Abs(float64(got[i*(n+3)+j]) - want); !(d < 1e-3) {
					t.Fatalf("element (%d, %d) of %dx%dx%d is off by %g", i, j, m, n, k, d)
				}
			}
		}
	}
}

// Exponentials are those of the library to the precision of the type, and stay in its range.
func TestExpIsExp(t *testing.T) { eachLevel(t, expIsExp) }

func expIsExp(t *testing.T) {
	r := testseed.Rand(t)
	x := []float32{0, -87, 88, -1000, 1000, float32(math.Inf(-1)), float32(math.Inf(1)), 1e-30, -1e-30}
	for range 1000 {
		x = append(x, float32(20*r.NormFloat64()))
	}
	for n := range 40 { // whatever is left over of whole vectors
		got := append([]float32(nil), x[:len(x)-n]...)
		Exp(got)
		for i, v := range got {
			want := math.Exp(min(88, max(-87, float64(x[i]))))
			if off := math.Abs(float64(v)/want - 1); !(off < 2e-7) {
				t.Fatalf("exp(%g) is %g, off by %g", x[i], v, off)
			}
		}
	}
	Exp(nil)
}

func BenchmarkExp(b *testing.B) {
	x := make([]float32, 5120)
	for b.Loop() {
		Exp(x)
	}
	b.ReportMetric(5120*float64(b.N)/b.Elapsed().Seconds()/1e9, "G/s")
}

func BenchmarkProduct(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	x, w, y := make([]float32, 256*576), make([]float32, 1536*576), make([]float32, 256*1536)
	for i := range x {
		x[i] = r.Float32()
	}
	for i := range w {
		w[i] = r.Float32()
	}
	for b.Loop() {
		Mul(1, Of(y, 1536), Of(x, 576), Of(w, 576).T())
	}
	b.ReportMetric(2*256*576*1536*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOPS")
}
