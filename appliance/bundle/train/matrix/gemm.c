// Products of dense float32 matrices by panels that stay in the caches, as Goto and van de
// Geijn describe it (ACM TOMS 34, 2008). The compiler makes the vector instructions.
#include "gemm.h"
#include <stdlib.h>

enum { MR = 6, NR = 16, KC = 256, MC = 96, NC = 1536 };

#define MIN(a, b) ((a) < (b) ? (a) : (b))

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));

#define GEMM gemm_plain
#define TARGET
#include "gemm_body.h"
#undef GEMM
#undef TARGET

#ifdef __x86_64__
#define GEMM gemm_avx2
#define TARGET __attribute__((target("avx2,fma")))
#include "gemm_body.h"
#endif

int skerry_gemm(long m, long n, long k, const float * a, long a_row, long a_col,
	const float * b, long b_row, long b_col, float * c, long ldc, int add) {
	float * work;
	if (posix_memalign((void **) &work, 64, sizeof(float) * KC * (MC + NC))) return -1;
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		gemm_avx2(m, n, k, a, a_row, a_col, b, b_row, b_col, c, ldc, add, work, work + KC * MC);
	else
#endif
		gemm_plain(m, n, k, a, a_row, a_col, b, b_row, b_col, c, ldc, add, work, work + KC * MC);
	free(work);
	return 0;
}
