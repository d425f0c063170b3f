// Kernels of rows.cpp for AVX2.
#ifndef SKERRY_ROWS_AVX2_H
#define SKERRY_ROWS_AVX2_H

#include "rows_x86.h"

namespace {

// Q8_0. A group of rows of B is packed block by block: the scales of its rows, then the
// values of each.
struct q8_0 {
    typedef block_q8_0 block;
    static bool takes(int64_t n, int64_t) { return n <= most; }  // ggml's tiles are as fast for more
    static constexpr size_t step(int r) { return (size_t) (most * 4 + r * 32); }
    static constexpr int    rows(int r) { return r <= 2 ? 4 : r <= 4 ? 2 : 1; }

    template <int R> static void pack(const product & p, int64_t row, char * to) {
        for (int64_t l = 0; l < p.nb; l++, to += step(R)) {
            for (int r = 0; r < R; r++) {
                const block & y = ((const block *) (p.b + (row + r) * p.ldb))[l];
                ((float *) to)[r] = half(y.d);
                memcpy(to + most * 4 + r * 32, y.qs, 32);
            }
        }
    }

    template <int M, int R> static void dot(const product & p, int64_t row, int64_t i, const char * b) {
        const block * a[M];
        for (int m = 0; m < M; m++) a[m] = (const block *) (p.a + (i + m) * p.lda);
        __m256 acc[M][R];
        each<M>([&](auto m) SKERRY_INLINE { each<R>([&](auto r) SKERRY_INLINE { acc[m][r] = _mm256_setzero_ps(); }); });
        for (int64_t l = 0; l < p.nb; l++, b += step(R)) {
            __m256i x[M];
            float   d[M];
            each<M>([&](auto m) SKERRY_INLINE {
                __builtin_prefetch((const char *) a[0] + (l * M + m) * (int64_t) sizeof(block) + ahead);
                x[m] = _mm256_loadu_si256((const __m256i *) a[m][l].qs);
                d[m] = half(a[m][l].d);
            });
            each<R>([&](auto r) SKERRY_INLINE {
                const __m256i y = _mm256_loadu_si256((const __m256i *) (b + most * 4 + r * 32));
                const float e = ((const float *) b)[r];
                each<M>([&](auto m) SKERRY_INLINE {
                    const __m256i q = _mm256_madd_epi16(_mm256_set1_epi16(1),
                        _mm256_maddubs_epi16(_mm256_sign_epi8(x[m], x[m]), _mm256_sign_epi8(y, x[m])));
                    acc[m][r] = _mm256_fmadd_ps(_mm256_set1_ps(d[m] * e), _mm256_cvtepi32_ps(q), acc[m][r]);
                });
            });
        }
        each<M>([&](auto m) SKERRY_INLINE { each<R>([&](auto r) SKERRY_INLINE { p.c[(row + r) * p.ldc + i + m] = sum_of(acc[m][r]); }); });
    }
};

// unpack makes the values of a block of Q6_K, without the 32 that is to be taken from each,
// and for each of them its scale.
SKERRY_INLINE inline void unpack(const block_q6_K & w, __m256i (&x)[8], __m256i (&s)[8]) {
    const __m256i low = _mm256_set1_epi8(15), high = _mm256_set1_epi8(48);
    each<2>([&](auto h) SKERRY_INLINE {
        const __m256i u = _mm256_loadu_si256((const __m256i *) w.ql + 2 * h), v = _mm256_loadu_si256((const __m256i *) w.ql + 2 * h + 1);
        const __m256i t = _mm256_loadu_si256((const __m256i *) w.qh + h);
        x[4 * h]     = _mm256_or_si256(_mm256_and_si256(u, low), _mm256_and_si256(_mm256_slli_epi16(t, 4), high));
        x[4 * h + 1] = _mm256_or_si256(_mm256_and_si256(v, low), _mm256_and_si256(_mm256_slli_epi16(t, 2), high));
        x[4 * h + 2] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(u, 4), low), _mm256_and_si256(t, high));
        x[4 * h + 3] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(v, 4), low), _mm256_and_si256(_mm256_srli_epi16(t, 2), high));
    });
    const __m128i scales = _mm_loadu_si128((const __m128i *) w.scales), pair = _mm_set_epi64x(0x0101010101010101, 0);
    each<8>([&](auto v) SKERRY_INLINE {  // a scale has sixteen values
        s[v] = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(scales, _mm_add_epi8(pair, _mm_set1_epi8(2 * v))));
    });
}

// Q6_K by Q8_K. A group of rows of B is packed block by block: the scales of its rows,
// then for each row the values and 32 times the sums of their pairs.
struct q6_k {
    typedef block_q6_K block;
    static constexpr size_t step(int r) { return (size_t) (most * 4 + r * 512); }
    static constexpr int rows(int) { return 1; }

    template <int R> static void pack(const product & p, int64_t row, char * to) {
        for (int64_t l = 0; l < p.nb; l++, to += step(R)) {
            for (int r = 0; r < R; r++) {
                const block_q8_K & y = ((const block_q8_K *) (p.b + (row + r) * p.ldb))[l];
                ((float *) to)[r] = y.d;
                for (int v = 0; v < 8; v++) {
                    const __m256i q = _mm256_loadu_si256((const __m256i *) y.qs + v);
                    __m256i * at = (__m256i *) (to + most * 4 + r * 512 + v * 64);
                    _mm256_storeu_si256(at, q);
                    _mm256_storeu_si256(at + 1, _mm256_maddubs_epi16(_mm256_set1_epi8(32), q));
                }
            }
        }
    }

    template <int M, int R> static void dot(const product & p, int64_t row, int64_t i, const char * b) {
        const block * a = (const block *) (p.a + i * p.lda);
        __m256 acc[R];
        each<R>([&](auto r) SKERRY_INLINE { acc[r] = _mm256_setzero_ps(); });
        for (int64_t l = 0; l < p.nb; l++, b += step(R)) {
            __m256i x[8], s[8];
            unpack(a[l], x, s);
            const float d = half(a[l].d);
            each<R>([&](auto r) SKERRY_INLINE {
                const __m256i * y = (const __m256i *) (b + most * 4 + r * 512);
                __m256i sum = _mm256_setzero_si256();
                each<8>([&](auto v) SKERRY_INLINE {
                    const __m256i q = _mm256_sub_epi16(_mm256_maddubs_epi16(x[v], _mm256_loadu_si256(y + 2 * v)), _mm256_loadu_si256(y + 2 * v + 1));
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(s[v], q));
                });
                acc[r] = _mm256_fmadd_ps(_mm256_set1_ps(((const float *) b)[r] * d), _mm256_cvtepi32_ps(sum), acc[r]);
            });
        }
        each<R>([&](auto r) SKERRY_INLINE { p.c[(row + r) * p.ldc + i] = sum_of(acc[r]); });
    }
};

} // namespace

#endif
