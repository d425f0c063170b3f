// Package matrix multiplies dense float32 matrices, fast enough to train small models on
// processors. It stands in for a BLAS: that of the registries in Go alone is an order of
// magnitude slower, and the others want a library installed.
package matrix

/*
#cgo CFLAGS: -O3
#include "gemm.h"
*/
import "C"

import (
	"fmt"
	"sync"
)

// M is a view of a matrix: element (i, j) is Data[i*Row+j*Col].
type M struct {
	Data       []float32
	Rows, Cols int
	Row, Col   int
}

// Of is the matrix of rows of cols values each, one after another.
func Of(data []float32, cols int) M {
	return M{Data: data, Rows: len(data) / cols, Cols: cols, Row: cols, Col: 1}
}

// T is the transpose, of the same data.
func (m M) T() M { return M{Data: m.Data, Rows: m.Cols, Cols: m.Rows, Row: m.Col, Col: m.Row} }

// Columns are those from first on, n of them.
func (m M) Columns(first, n int) M {
	m.Data, m.Cols = m.Data[first*m.Col:], n
	return m
}

// Mul computes c = a·b.
func Mul(threads int, c, a, b M) { multiply(threads, c, a, b, false) }

// MulAdd computes c += a·b.
func MulAdd(threads int, c, a, b M) { multiply(threads, c, a, b, true) }

// fewest is how many multiplications are worth a thread.
const fewest = 1 << 22

func multiply(threads int, c, a, b M, add bool) {
	if a.Rows != c.Rows || b.Cols != c.Cols || a.Cols != b.Rows || c.Col != 1 {
		panic(fmt.Sprintf("matrix: no product of %dx%d and %dx%d into %dx%d", a.Rows, a.Cols, b.Rows, b.Cols, c.Rows, c.Cols))
	}
	for _, m := range []M{a, b, c} {
		if m.Rows < 1 || m.Cols < 1 || (m.Rows-1)*m.Row+(m.Cols-1)*m.Col >= len(m.Data) {
			panic(fmt.Sprintf("matrix: %d values are no %dx%d", len(m.Data), m.Rows, m.Cols))
		}
	}
	threads = max(1, min(threads, a.Rows*a.Cols*b.Cols/fewest, a.Rows))
	var wg sync.WaitGroup
	for i := range threads {
		from, to := i*a.Rows/threads, (i+1)*a.Rows/threads
		part := func() {
			if C.skerry_gemm(C.long(to-from), C.long(b.Cols), C.long(a.Cols),
				(*C.float)(&a.Data[from*a.Row]), C.long(a.Row), C.long(a.Col),
				(*C.float)(&b.Data[0]), C.long(b.Row), C.long(b.Col),
				(*C.float)(&c.Data[from*c.Row]), C.long(c.Row), b2i(add)) != 0 {
				panic("matrix: out of memory")
			}
		}
		if i == threads-1 {
			part()
			break
		}
		wg.Go(part)
	}
	wg.Wait()
}

// Exp replaces values by their exponentials, within 2 parts in ten million. Below -87, where
// they come near the least number that there is, they are that of -87, and above 88 that of 88.
func Exp(x []float32) {
	if len(x) > 0 {
		C.skerry_exp(C.long(len(x)), (*C.float)(&x[0]))
	}
}

// levels of instructions: of every processor, AVX2, AVX-512.
const levels = 3

// atMost leaves out the instructions above a level, and returns the level that is then used. It is
// for tests, whose processor has those of others too.
func atMost(level int) int { return int(C.skerry_at_most(C.int(level))) }

func b2i(b bool) C.int {
	if b {
		return 1
	}
	return 0
}
