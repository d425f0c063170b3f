package calibrate

import (
	"context"
	"errors"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// This file stands in for the Cholesky factorization of gonum's mat, whose products run on
// goroutines of their own, for all processors: here what is computed stays on the thread of
// the caller, whose priority may be the lowest, in place, and can be interrupted.

// Gonum computes a product on the caller's thread while it has fewer than four blocks of
// cholBlock squared.
const (
	cholBlock = 64
	cholWidth = 2 * cholBlock
)

// errNotDefinite is of a matrix that has no Cholesky factor.
var errNotDefinite = errors.New("not positive definite")

// cholesky is the factor U of a matrix A = Uᵀ·U, [n][n], in its upper triangle.
type cholesky struct {
	n int
	a []float64
}

// part of the matrix, from a place on.
func (c *cholesky) part(row, col, rows, cols int) blas64.General {
	return blas64.General{Rows: rows, Cols: cols, Stride: c.n, Data: c.a[row*c.n+col:]}
}

func (c *cholesky) triangle(at, n int) blas64.Triangular {
	return blas64.Triangular{Uplo: blas.Upper, Diag: blas.NonUnit, N: n, Stride: c.n, Data: c.a[at*c.n+at:]}
}

// factorize puts the factor in the place of the upper triangle of a symmetric matrix [n][n].
// The error is errNotDefinite or the context's.
func factorize(ctx context.Context, a []float64, n int) (*cholesky, error) {
	c := &cholesky{n, a}
	for j := 0; j < n; j += cholBlock {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rows := min(cholBlock, n-j)
		for col := j; j > 0 && col < n; col += cholWidth {
			cols := min(cholWidth, n-col)
			blas64.Gemm(blas.Trans, blas.NoTrans, -1, c.part(0, j, j, rows), c.part(0, col, j, cols), 1, c.part(j, col, rows, cols))
		}
		block := blas64.Symmetric{Uplo: blas.Upper, N: rows, Stride: n, Data: a[j*n+j:]}
		if _, ok := lapack64.Potrf(block); !ok {
			return nil, errNotDefinite
		}
		if next := j + rows; next < n {
			blas64.Trsm(blas.Left, blas.Trans, 1, c.triangle(j, rows), c.part(j, next, rows, n-next))
		}
	}
	return c, nil
}

// solve puts the x of A·x = b in the place of b, [n][columns].
func (c *cholesky) solve(b blas64.General) {
	u := c.triangle(0, c.n)
	blas64.Trsm(blas.Left, blas.Trans, 1, u, b)
	blas64.Trsm(blas.Left, blas.NoTrans, 1, u, b)
}
