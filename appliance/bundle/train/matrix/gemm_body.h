// The product for one instruction set: gemm.c includes this once for each, with GEMM as the
// name of the function, TARGET as its attributes, V as a vector of W floats, and MR as the rows
// of a panel of a, whose product with two vectors of b stays in registers.

enum { NAME(NR) = 2 * W };

TARGET static void GEMM(long m, long n, long k, const float * a, long a_row, long a_col,
	const float * b, long b_row, long b_col, float * c, long ldc, int add, float * pa, float * pb) {
	enum { NR = NAME(NR) };
	for (long jc = 0; jc < n; jc += NC) {
		long nc = MIN(NC, n - jc);
		for (long pc = 0; pc < k; pc += KC) {
			long kc = MIN(KC, k - pc);
			int more = add || pc > 0;
			for (long j = 0; j < nc; j += NR)  // panels of NR columns, one after another
				pack(pb + j * kc, NR, MIN(NR, nc - j), kc, b + pc * b_row + (jc + j) * b_col, b_col, b_row);
			for (long ic = 0; ic < m; ic += MC) {
				long mc = MIN(MC, m - ic);
				for (long i = 0; i < mc; i += MR)  // panels of MR rows
					pack(pa + i * kc, MR, MIN(MR, mc - i), kc, a + (ic + i) * a_row + pc * a_col, a_row, a_col);
				for (long j = 0; j < nc; j += NR)
					for (long i = 0; i < mc; i += MR) {
						const float * x = pa + i * kc, * y = pb + j * kc;
						V s[MR][2];
						#pragma GCC unroll 16
						for (int r = 0; r < MR; r++) s[r][0] = s[r][1] = (V) { 0 };
						for (long p = 0; p < kc; p++) {
							V y0 = *(const V *) y, y1 = *(const V *) (y + W);
							#pragma GCC unroll 16
							for (int r = 0; r < MR; r++) {
								s[r][0] += x[r] * y0;
								s[r][1] += x[r] * y1;
							}
							x += MR;
							y += NR;
						}
						float * to = c + (ic + i) * ldc + jc + j;
						if (i + MR <= mc && j + NR <= nc) {
							#pragma GCC unroll 16
							for (int r = 0; r < MR; r++) {
								V * t = (V *) (to + r * ldc);
								if (more) { t[0] += s[r][0]; t[1] += s[r][1]; }
								else { t[0] = s[r][0]; t[1] = s[r][1]; }
							}
							continue;
						}
						float edge[MR][NR];
						for (int r = 0; r < MR; r++)
							for (int q = 0; q < NR; q++) edge[r][q] = s[r][q / W][q % W];
						for (long r = 0; r < MIN(MR, mc - i); r++)
							for (long q = 0; q < MIN(NR, nc - j); q++)
								to[r * ldc + q] = edge[r][q] + (more ? to[r * ldc + q] : 0);
					}
			}
		}
	}
}
