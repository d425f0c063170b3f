// A product of dense float32 matrices, and exponentials; see gemm.c.
#ifndef SKERRY_GEMM_H
#define SKERRY_GEMM_H

// skerry_gemm computes c[m][n] = a[m][k] · b[k][n], added to what c holds if add is set. An
// element of a lies at row*a_row + col*a_col, and so for b; rows of c are ldc apart. It
// returns -1 where there is no memory for its buffers.
int skerry_gemm(long m, long n, long k, const float * a, long a_row, long a_col,
	const float * b, long b_row, long b_col, float * c, long ldc, int add);

// skerry_exp replaces n values by their exponentials, within 2 parts in ten million; those
// below -87 become the exponential of -87, and those above 88 that of 88.
void skerry_exp(long n, float * x);

// skerry_at_most leaves out the instructions above a level (0: those of every processor, 1: AVX2,
// 2: AVX-512), and returns the level that is then used. No other function may run meanwhile.
int skerry_at_most(int level);

#endif
