// The product for one instruction set: gemm.c includes this once for each, with GEMM as the
// name of the function and TARGET as its attributes.

TARGET static void GEMM(long m, long n, long k, const float * a, long a_row, long a_col,
	const float * b, long b_row, long b_col, float * c, long ldc, int add, float * pa, float * pb) {
	for (long jc = 0; jc < n; jc += NC) {
		long nc = MIN(NC, n - jc);
		for (long pc = 0; pc < k; pc += KC) {
			long kc = MIN(KC, k - pc);
			int more = add || pc > 0;
			for (long j = 0; j < nc; j += NR)  // panels of NR columns, one after another
				for (long p = 0; p < kc; p++) {
					const float * from = b + (pc + p) * b_row + (jc + j) * b_col;
					float * to = pb + j * kc + p * NR;
					long w = MIN(NR, nc - j);
					if (b_col == 1) for (long x = 0; x < w; x++) to[x] = from[x];
					else for (long x = 0; x < w; x++) to[x] = from[x * b_col];
					for (long x = w; x < NR; x++) to[x] = 0;
				}
			for (long ic = 0; ic < m; ic += MC) {
				long mc = MIN(MC, m - ic);
				for (long i = 0; i < mc; i += MR)  // panels of MR rows
					for (long x = 0; x < MR; x++) {
						const float * from = a + (ic + i + x) * a_row + pc * a_col;
						float * to = pa + i * kc + x;
						if (i + x < mc) for (long p = 0; p < kc; p++) to[p * MR] = from[p * a_col];
						else for (long p = 0; p < kc; p++) to[p * MR] = 0;
					}
				for (long j = 0; j < nc; j += NR)
					for (long i = 0; i < mc; i += MR) {
						const float * x = pa + i * kc, * y = pb + j * kc;
						v8 s[MR][2];
						#pragma GCC unroll 6
						for (int r = 0; r < MR; r++) s[r][0] = s[r][1] = (v8) { 0 };
						for (long p = 0; p < kc; p++) {
							v8 y0 = *(const v8 *) y, y1 = *(const v8 *) (y + 8);
							#pragma GCC unroll 6
							for (int r = 0; r < MR; r++) {
								s[r][0] += x[r] * y0;
								s[r][1] += x[r] * y1;
							}
							x += MR;
							y += NR;
						}
						float * to = c + (ic + i) * ldc + jc + j;
						if (i + MR <= mc && j + NR <= nc) {
							#pragma GCC unroll 6
							for (int r = 0; r < MR; r++) {
								v8 * t = (v8 *) (to + r * ldc);
								if (more) { t[0] += s[r][0]; t[1] += s[r][1]; }
								else { t[0] = s[r][0]; t[1] = s[r][1]; }
							}
							continue;
						}
						float edge[MR][NR];
						for (int r = 0; r < MR; r++)
							for (int q = 0; q < NR; q++) edge[r][q] = s[r][q / 8][q % 8];
						for (long r = 0; r < MIN(MR, mc - i); r++)
							for (long q = 0; q < MIN(NR, nc - j); q++)
								to[r * ldc + q] = edge[r][q] + (more ? to[r * ldc + q] : 0);
					}
			}
		}
	}
}
