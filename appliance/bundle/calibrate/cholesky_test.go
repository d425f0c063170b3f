package calibrate

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gonum.org/v1/gonum/blas/blas64"
)

// covariance is a positive definite matrix [n][n].
func covariance(r *rand.Rand, n int) []float64 {
	x := make([]float64, n*n)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	a := make([]float64, n*n)
	for i := range n {
		for j := range n {
			for k := range n {
				a[i*n+j] += x[i*n+k] * x[j*n+k] / float64(n)
			}
		}
		a[i*n+i]++
	}
	return a
}

// What is solved for solves, whether the matrix is a part of a block or several of them.
func TestCholesky(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 7, cholBlock, cholBlock + 1, 3*cholBlock + 20, 4 * cholBlock} {
		const columns = 3
		a := covariance(r, n)
		want, b := make([]float64, n*columns), make([]float64, n*columns)
		for i := range want {
			want[i] = r.NormFloat64()
		}
		for i := range n {
			for j := range n {
				for k := range columns {
					b[i*columns+k] += a[i*n+j] * want[j*columns+k]
				}
			}
		}
		for i := range n { // only the upper triangle counts
			clear(a[i*n : i*n+i])
		}
		c, err := factorize(t.Context(), a, n)
		if err != nil {
			t.Fatal(err)
		}
		c.solve(blas64.General{Rows: n, Cols: columns, Stride: columns, Data: b})
		for i := range b {
			if math.Abs(b[i]-want[i]) > 1e-9 {
				t.Fatalf("of %d: [%d] is %g, not %g", n, i, b[i], want[i])
			}
		}
	}
	bad := covariance(r, 100)
	bad[90*100+90] = -1
	if _, err := factorize(t.Context(), bad, 100); !errors.Is(err, errNotDefinite) {
		t.Error(err)
	}
}

// The factorization is computed by the thread that asks for it: another would not have its
// priority.
func TestCholeskyStaysOnItsThread(t *testing.T) {
	const n = 1200
	a := make([]float64, n*n)
	for i := range a {
		a[i] = 1
	}
	for i := range n {
		a[i*n+i] = n
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	spent := func(clock int32) time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	all, own := spent(unix.CLOCK_PROCESS_CPUTIME_ID), spent(unix.CLOCK_THREAD_CPUTIME_ID)
	if _, err := factorize(t.Context(), a, n); err != nil {
		t.Fatal(err)
	}
	own, all = spent(unix.CLOCK_THREAD_CPUTIME_ID)-own, spent(unix.CLOCK_PROCESS_CPUTIME_ID)-all
	if own < all*3/4 {
		t.Errorf("%s of %s were computed by other threads", all-own, all)
	}
}
