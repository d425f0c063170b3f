// Products of dense float32 matrices by panels that stay in the caches, as Goto and van de
// Geijn describe it (ACM TOMS 34, 2008), and what else a training does to every value. The
// compiler makes the vector instructions.
#include "gemm.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { KC = 256, MC = 96, NC = 1536 };  // MC and NC are multiples of every panel

#define MIN(a, b) ((a) < (b) ? (a) : (b))

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float v16 __attribute__((vector_size(64), aligned(4), may_alias));

// pack copies lanes values of each of count places to panels of wide, the rest of which is zero.
static inline void pack(float * to, long wide, long lanes, long count, const float * from, long lane, long step) {
	if (lanes < wide) memset(to, 0, sizeof(float) * wide * count);
	if (lane == 1) {
		for (long p = 0; p < count; p++)
			for (long x = 0; x < lanes; x++) to[p * wide + x] = from[p * step + x];
		return;
	}
	for (long x = 0; x < lanes; x++)
		for (long p = 0; p < count; p++) to[p * wide + x] = from[x * lane + p * step];
}

// exponential is a power of two, put together from its bits, times a polynomial of what is left
// (Cephes' of float32), without a branch, so that loops over it become vector instructions.
static inline float exponential(float x) {
	const float magic = 12582912.f;  // adding it rounds to a whole number
	x = x > 88.f ? 88.f : x < -87.f ? -87.f : x;
	float whole = x * 1.44269504f + magic;
	int32_t bits;
	memcpy(&bits, &whole, 4);
	whole -= magic;
	float r = x - whole * 0.693145752f - whole * 1.42860677e-6f;
	float p = 1.98756915e-4f;
	p = p * r + 1.39819995e-3f;
	p = p * r + 8.33345190e-3f;
	p = p * r + 4.16657959e-2f;
	p = p * r + 1.66666655e-1f;
	p = p * r + 5.00000012e-1f;
	p = p * r * r + r + 1.f;
	bits = (bits - 0x4B400000 + 127) << 23;
	float scale;
	memcpy(&scale, &bits, 4);
	return p * scale;
}

#define JOIN(a, b) a##b

#define NAME(x) JOIN(x, _plain)
#define GEMM gemm_plain
#define TARGET
#define V v8
#define W 8
#define MR 6
#include "gemm_body.h"
#undef GEMM
#undef TARGET
#undef NAME

#ifdef __x86_64__
#define NAME(x) JOIN(x, _avx2)
#define GEMM gemm_avx2
#define TARGET __attribute__((target("avx2,fma")))
#include "gemm_body.h"
#undef GEMM
#undef TARGET
#undef NAME
#undef V
#undef W
#undef MR

#define NAME(x) JOIN(x, _avx512)
#define GEMM gemm_avx512
#define TARGET __attribute__((target("avx512f,avx2,fma,prefer-vector-width=512")))
#define V v16
#define W 16
#define MR 12
#include "gemm_body.h"

__attribute__((target("avx512f,avx2,fma,prefer-vector-width=512")))
static void exp_avx512(long n, float * x) { for (long i = 0; i < n; i++) x[i] = exponential(x[i]); }
__attribute__((target("avx2,fma")))
static void exp_avx2(long n, float * x) { for (long i = 0; i < n; i++) x[i] = exponential(x[i]); }
#endif
static void exp_plain(long n, float * x) { for (long i = 0; i < n; i++) x[i] = exponential(x[i]); }

static int most = 2;

// What the processor has, up to the most: 0 plain, 1 with AVX2, 2 with AVX-512.
static int level(void) {
#ifdef __x86_64__
	if (most >= 2 && __builtin_cpu_supports("avx512f")) return 2;
	if (most >= 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
	return 0;
}

int skerry_at_most(int n) {
	most = n;
	return level();
}

int skerry_gemm(long m, long n, long k, const float * a, long a_row, long a_col,
	const float * b, long b_row, long b_col, float * c, long ldc, int add) {
	float * work;
	if (posix_memalign((void **) &work, 64, sizeof(float) * KC * (MC + NC))) return -1;
	float * more = work + KC * MC;
	switch (level()) {
#ifdef __x86_64__
	case 2: gemm_avx512(m, n, k, a, a_row, a_col, b, b_row, b_col, c, ldc, add, work, more); break;
	case 1: gemm_avx2(m, n, k, a, a_row, a_col, b, b_row, b_col, c, ldc, add, work, more); break;
#endif
	default: gemm_plain(m, n, k, a, a_row, a_col, b, b_row, b_col, c, ldc, add, work, more);
	}
	free(work);
	return 0;
}

void skerry_exp(long n, float * x) {
	switch (level()) {
#ifdef __x86_64__
	case 2: exp_avx512(n, x); break;
	case 1: exp_avx2(n, x); break;
#endif
	default: exp_plain(n, x);
	}
}
