package engine

/*
#include "fit.h"
*/
import "C"

import (
	"fmt"
	"sync"
)

// Fitter does the dense float32 algebra of fitting exit heads, on the same kernels
// as stages. Matrices are row by row.
type Fitter struct {
	mu  sync.Mutex // guards all following fields
	c   *C.struct_skerry_fitter
	dim int // of the LM head, 0 for none
}

// NewFitter makes a fitter with threads of its own; Close it when done.
func NewFitter(threads int) (*Fitter, error) {
	Init("")
	c := C.skerry_fitter_new(C.int(max(1, threads)))
	if c == nil {
		return nil, fmt.Errorf("fitter: out of memory")
	}
	return &Fitter{c: c}, nil
}

// Close frees the fitter.
func (f *Fitter) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.c != nil {
		C.skerry_fitter_free(f.c)
		f.c = nil
	}
}

// MulT computes out[m][n] = a[m][k] · b[n][k]ᵀ, where k is the length of a row.
func (f *Fitter) MulT(out, a, b []float32, k int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.c == nil || k < 1 || len(a) == 0 || len(b) == 0 || len(a)%k != 0 || len(b)%k != 0 || len(out) != len(a)/k*(len(b)/k) {
		return fmt.Errorf("fitter: no product of %d and %d values in rows of %d into %d", len(a), len(b), k, len(out))
	}
	if C.skerry_fitter_mul(f.c, C.int(len(a)/k), C.int(len(b)/k), C.int(k), (*C.float)(&a[0]), (*C.float)(&b[0]), (*C.float)(&out[0])) != 0 {
		return fmt.Errorf("fitter: out of memory")
	}
	return nil
}

// SetLM keeps an LM head [n][dim] for Gradient.
func (f *Fitter) SetLM(rows []float32, dim int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.c == nil || dim < 1 || len(rows) == 0 || len(rows)%dim != 0 {
		return fmt.Errorf("fitter: %d values are no LM head of width %d", len(rows), dim)
	}
	if C.skerry_fitter_lm(f.c, C.int(len(rows)/dim), C.int(dim), (*C.float)(&rows[0])) != 0 {
		return fmt.Errorf("fitter: out of memory")
	}
	f.dim = dim
	return nil
}

// Gradient of the mean Kullback-Leibler divergence from softmax(LM·y) to
// softmax(LM·(T·x+b)) over rows x and y [n][dim]: to grad with respect to T
// [dim][dim], to gradB with respect to b [dim]. It returns the divergence, in nats,
// if wantLoss.
func (f *Fitter) Gradient(x, y, t, b, grad, gradB []float32, wantLoss bool) (float64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.dim
	if f.c == nil || d == 0 || len(x) == 0 || len(x)%d != 0 || len(y) != len(x) ||
		len(t) != d*d || len(grad) != d*d || len(b) != d || len(gradB) != d {
		return 0, fmt.Errorf("fitter: shapes do not fit a width of %d", d)
	}
	n := len(x) / d
	rows := make([]float32, len(x))
	var loss C.float
	var into *C.float
	if wantLoss {
		into = &loss
	}
	if C.skerry_fitter_step(f.c, C.int(n), (*C.float)(&x[0]), (*C.float)(&y[0]), (*C.float)(&t[0]), (*C.float)(&b[0]),
		(*C.float)(&grad[0]), (*C.float)(&rows[0]), into) != 0 {
		return 0, fmt.Errorf("fitter: out of memory")
	}
	clear(gradB)
	for i, v := range rows {
		gradB[i%d] += v / float32(n)
	}
	return float64(loss), nil
}
