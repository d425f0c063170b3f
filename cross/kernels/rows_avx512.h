// Kernels of rows.cpp for AVX-512 with VNNI.
#ifndef SKERRY_ROWS_AVX512_H
#define SKERRY_ROWS_AVX512_H

#include "rows_x86.h"

namespace {

// dot_one multiplies M rows of Q8_0, of which there are 8 or 1, by one row, of which is packed for
// each block its 32 values and what takes back the 128 that is added to those of A, since they are
// multiplied without a sign, then the scales of all blocks.
template <int M> inline void dot_one(const product & p, int64_t row, int64_t i, const char * b) {
    const char *  a = p.a + i * p.lda;
    const float * scales = (const float *) (b + p.nb * 64);
    const __m256i sign = _mm256_set1_epi8((char) 128);
    __m256 acc[M];
    each<M>([&](auto m) SKERRY_INLINE { acc[m] = _mm256_setzero_ps(); });
    // The last of M rows that are beside one another would be read before it is fetched.
    const char * next = a + std::min<int64_t>(M * p.lda, 4 * ahead) + ahead;
    for (int64_t l = 0; l < p.nb; l++, a += sizeof(block_q8_0), next += M * sizeof(block_q8_0)) {
        for (int at = 0; at < M * (int) sizeof(block_q8_0); at += 64) __builtin_prefetch(next + at);
        __m128i h = _mm_setzero_si128();
        each<M>([&](auto m) SKERRY_INLINE { h = _mm_insert_epi16(h, *(const short *) (a + m * p.lda), decltype(m)::value); });
        alignas(32) float d[8];
        _mm256_store_ps(d, _mm256_mul_ps(_mm256_cvtph_ps(h), _mm256_set1_ps(scales[l])));
        asm("" : "+m"(d));  // a product by a number in memory takes no shuffle
        const __m256i y = _mm256_loadu_si256((const __m256i *) (b + l * 64)), back = _mm256_loadu_si256((const __m256i *) (b + l * 64 + 32));
        each<M>([&](auto m) SKERRY_INLINE {
            const __m256i x = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *) (a + m * p.lda + 2)), sign);
            acc[m] = _mm256_fmadd_ps(_mm256_set1_ps(d[m]), _mm256_cvtepi32_ps(_mm256_dpbusd_epi32(back, x, y)), acc[m]);
        });
    }
    each<M>([&](auto m) SKERRY_INLINE { p.c[row * p.ldc + i + m] = sum_of(acc[m]); });
}

// Q8_0 by pairs of rows of B, one in each half of a vector. A group is packed block by
// block: the scales of its rows, then for each pair the values and what takes back the 128
// that is added to those of A, since they are multiplied without a sign.
struct q8_0 {
    typedef block_q8_0 block;
    static bool takes(int64_t, int64_t) { return true; }
    static constexpr int    pairs(int r) { return (r + 1) / 2; }
    static constexpr size_t step(int r) { return (size_t) (most * 4 + pairs(r) * 128); }
    static constexpr int    rows(int r) { return r == 1 ? 8 : r <= 4 ? 4 : 2; }

    static void pack_one(const product & p, int64_t row, char * to) {
        const block * y = (const block *) (p.b + row * p.ldb);
        for (int64_t l = 0; l < p.nb; l++) {
            const __m256i v = _mm256_loadu_si256((const __m256i *) y[l].qs);
            const __m256i back = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8((char) 128), v);
            _mm256_storeu_si256((__m256i *) (to + l * 64), v);
            _mm256_storeu_si256((__m256i *) (to + l * 64 + 32), _mm256_sub_epi32(_mm256_setzero_si256(), back));
            ((float *) (to + p.nb * 64))[l] = half(y[l].d);
        }
    }

    template <int R> static void pack(const product & p, int64_t row, char * to) {
        if constexpr (R == 1) return pack_one(p, row, to);
        for (int64_t l = 0; l < p.nb; l++, to += step(R)) {
            memset(to, 0, most * 4);  // what lies there otherwise is multiplied too, and slowly where it is denormal
            for (int r = 0; r < 2 * pairs(R); r++) {
                const block & y = ((const block *) (p.b + (row + std::min(r, R - 1)) * p.ldb))[l];
                ((float *) to)[r] = half(y.d);
                const __m256i v = _mm256_loadu_si256((const __m256i *) y.qs);
                const __m256i back = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8((char) 128), v);
                __m256i * at = (__m256i *) (to + most * 4 + r / 2 * 128) + r % 2;
                _mm256_storeu_si256(at, v);
                _mm256_storeu_si256(at + 2, _mm256_sub_epi32(_mm256_setzero_si256(), back));
            }
        }
    }

    template <int M, int R> static void dot(const product & p, int64_t row, int64_t i, const char * b) {
        if constexpr (R == 1) return dot_one<M>(p, row, i, b);
        constexpr int P = pairs(R);
        const block * a[M];
        for (int m = 0; m < M; m++) a[m] = (const block *) (p.a + (i + m) * p.lda);
        __m512 acc[M][P];
        each<M>([&](auto m) SKERRY_INLINE { each<P>([&](auto r) SKERRY_INLINE { acc[m][r] = _mm512_setzero_ps(); }); });
        const __m512i sign = _mm512_set1_epi8((char) 128);
        const __m512i first = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
        for (int64_t l = 0; l < p.nb; l++, b += step(R)) {
            __m512i x[M];
            __m512  d[M];
            each<M>([&](auto m) SKERRY_INLINE {
                // Rows beside one another in a page are no streams that a processor would see.
                __builtin_prefetch((const char *) a[0] + (l * M + m) * (int64_t) sizeof(block) + ahead);
                x[m] = _mm512_xor_si512(_mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *) a[m][l].qs)), sign);
                d[m] = _mm512_castps256_ps512(_mm256_mul_ps(_mm256_set1_ps(half(a[m][l].d)), _mm256_loadu_ps((const float *) b)));
            });
            each<P>([&](auto r) SKERRY_INLINE {
                const __m512i y = _mm512_loadu_si512(b + most * 4 + r * 128);
                const __m512i at = _mm512_add_epi32(first, _mm512_set1_epi32(2 * r));
                each<M>([&](auto m) SKERRY_INLINE {
                    const __m512i q = _mm512_dpbusd_epi32(_mm512_loadu_si512(b + most * 4 + r * 128 + 64), x[m], y);
                    acc[m][r] = _mm512_fmadd_ps(_mm512_permutexvar_ps(at, d[m]), _mm512_cvtepi32_ps(q), acc[m][r]);
                });
            });
        }
        each<M>([&](auto m) SKERRY_INLINE {
            each<R>([&](auto r) SKERRY_INLINE {
                const __m512 v = acc[m][r / 2];
                p.c[(row + r) * p.ldc + i + m] = sum_of(r % 2 ? _mm512_extractf32x8_ps(v, 1) : _mm512_castps512_ps256(v));
            });
        });
    }
};

SKERRY_INLINE inline __m512i twice(const uint8_t * p) { return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *) p)); }

SKERRY_INLINE inline __m512i two(__m256i a, __m256i b) { return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1); }

// unpack makes the values of a block of Q6_K, without the 32 that is to be taken from each,
// and for each of them its scale, both twice.
SKERRY_INLINE inline void unpack(const block_q6_K & w, __m512i (&x)[8], __m512i (&s)[8]) {
    const __m512i low = _mm512_set1_epi8(15), high = _mm512_set1_epi8(48);
    each<2>([&](auto h) SKERRY_INLINE {
        const __m512i u = twice(w.ql + 64 * h), v = twice(w.ql + 64 * h + 32), t = twice(w.qh + 32 * h);
        x[4 * h]     = _mm512_or_si512(_mm512_and_si512(u, low), _mm512_and_si512(_mm512_slli_epi16(t, 4), high));
        x[4 * h + 1] = _mm512_or_si512(_mm512_and_si512(v, low), _mm512_and_si512(_mm512_slli_epi16(t, 2), high));
        x[4 * h + 2] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(u, 4), low), _mm512_and_si512(t, high));
        x[4 * h + 3] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(v, 4), low), _mm512_and_si512(_mm512_srli_epi16(t, 2), high));
    });
    const __m256i scales = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *) w.scales));
    const __m256i pair = _mm256_set_epi64x(0x0101010101010101, 0, 0x0101010101010101, 0);
    each<8>([&](auto v) SKERRY_INLINE {  // a scale has sixteen values
        s[v] = _mm512_cvtepi8_epi16(_mm256_shuffle_epi8(scales, _mm256_add_epi8(pair, _mm256_set1_epi8(2 * v))));
    });
}

// dot_one multiplies a row of Q6_K by one row of Q8_K, of which is packed for each block its 256
// values and 32 times the sums of two and two of them, then the scales of all blocks. Both halves
// of a vector add up whole numbers, which may be added to one another at the end.
inline void dot_one(const product & p, int64_t row, int64_t i, const char * b, const block_q6_K * a) {
    const float * by = (const float *) (b + p.nb * 768);
    const __m512i low = _mm512_set1_epi8(15), high = _mm512_set1_epi8(48);
    const __m512i left = two(_mm256_set1_epi16(4), _mm256_set1_epi16(2)), right = two(_mm256_setzero_si256(), _mm256_set1_epi16(2));
    // A scale has sixteen values, and comes to the upper half of each of as many words.
    const __m256i first = _mm256_set_epi64x(0x0101010101010101, 0x0101010101010101, 0, 0);
    const __m512i pair = two(first, _mm256_add_epi8(first, _mm256_set1_epi8(2)));
    __m256 acc = _mm256_setzero_ps();
    for (int64_t l = 0; l < p.nb; l++, a++, b += 768) {
        for (int at = 0; at < (int) sizeof(*a); at += 64) __builtin_prefetch((const char *) a + ahead + at);
        const __m512i scales = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *) a->scales));
        __m512i sum[2] = { _mm512_setzero_si512(), _mm512_setzero_si512() };
        each<2>([&](auto h) SKERRY_INLINE {
            const __m512i u = _mm512_loadu_si512(a->ql + 64 * h), t = twice(a->qh + 32 * h);
            // 0xCA takes the bits of the second where the first has ones, else those of the third.
            const __m512i x[2] = {
                _mm512_ternarylogic_epi32(low, u, _mm512_and_si512(_mm512_sllv_epi16(t, left), high), 0xCA),
                _mm512_ternarylogic_epi32(low, _mm512_srli_epi16(u, 4), _mm512_and_si512(_mm512_srlv_epi16(t, right), high), 0xCA),
            };
            each<2>([&](auto v) SKERRY_INLINE {
                const __m512i s = _mm512_srai_epi16(_mm512_shuffle_epi8(scales, _mm512_add_epi8(pair, _mm512_set1_epi8(8 * h + 4 * v))), 8);
                const char * y = b + 128 * h + 64 * v;
                const __m512i q = _mm512_sub_epi16(_mm512_maddubs_epi16(x[v], _mm512_loadu_si512(y)), _mm512_loadu_si512(y + 256));
                sum[v] = _mm512_dpwssd_epi32(sum[v], s, q);
            });
        });
        const __m512i all = _mm512_add_epi32(sum[0], sum[1]);
        const __m256i q = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
        acc = _mm256_fmadd_ps(_mm256_set1_ps(by[l] * half(a->d)), _mm256_cvtepi32_ps(q), acc);
    }
    p.c[row * p.ldc + i] = sum_of(acc);
}

// Q6_K by pairs of rows of Q8_K, one in each half of a vector. A group is packed block by
// block: the scales of its rows, then for each pair the values and 32 times the sums of
// two and two of them.
struct q6_k {
    typedef block_q6_K block;
    static constexpr int    pairs(int r) { return (r + 1) / 2; }
    static constexpr size_t step(int r) { return (size_t) (most * 4 + pairs(r) * 1024); }
    static constexpr int    rows(int) { return 1; }

    static void pack_one(const product & p, int64_t row, char * to) {
        const block_q8_K * y = (const block_q8_K *) (p.b + row * p.ldb);
        for (int64_t l = 0; l < p.nb; l++) {
            for (int v = 0; v < 4; v++) {
                const __m512i q = _mm512_loadu_si512(y[l].qs + 64 * v);
                _mm512_storeu_si512(to + l * 768 + 64 * v, q);
                _mm512_storeu_si512(to + l * 768 + 256 + 64 * v, _mm512_maddubs_epi16(_mm512_set1_epi8(32), q));
            }
            ((float *) (to + p.nb * 768))[l] = y[l].d;
        }
    }

    template <int R> static void pack(const product & p, int64_t row, char * to) {
        if constexpr (R == 1) return pack_one(p, row, to);
        for (int64_t l = 0; l < p.nb; l++, to += step(R)) {
            memset(to, 0, most * 4);  // what lies there otherwise is multiplied too, and slowly where it is denormal
            for (int r = 0; r < 2 * pairs(R); r++) {
                const block_q8_K & y = ((const block_q8_K *) (p.b + (row + std::min(r, R - 1)) * p.ldb))[l];
                ((float *) to)[r] = y.d;
                for (int v = 0; v < 8; v++) {
                    const __m256i q = _mm256_loadu_si256((const __m256i *) y.qs + v);
                    __m256i * at = (__m256i *) (to + most * 4 + r / 2 * 1024 + v * 128) + r % 2;
                    _mm256_storeu_si256(at, q);
                    _mm256_storeu_si256(at + 2, _mm256_maddubs_epi16(_mm256_set1_epi8(32), q));
                }
            }
        }
    }

    template <int M, int R> static void dot(const product & p, int64_t row, int64_t i, const char * b) {
        const block * a = (const block *) (p.a + i * p.lda);
        if constexpr (R == 1) return dot_one(p, row, i, b, a);
        constexpr int P = pairs(R);
        __m512 acc[P];
        each<P>([&](auto r) SKERRY_INLINE { acc[r] = _mm512_setzero_ps(); });
        const __m512i first = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
        for (int64_t l = 0; l < p.nb; l++, b += step(R)) {
            for (int at = 0; at < (int) sizeof(block); at += 64) __builtin_prefetch((const char *) (a + l) + ahead + at);
            __m512i x[8], s[8];
            unpack(a[l], x, s);
            const __m512 d = _mm512_castps256_ps512(_mm256_mul_ps(_mm256_loadu_ps((const float *) b), _mm256_set1_ps(half(a[l].d))));
            __m512i sum[P];
            each<P>([&](auto r) SKERRY_INLINE { sum[r] = _mm512_setzero_si512(); });
            each<8>([&](auto v) SKERRY_INLINE {
                each<P>([&](auto r) SKERRY_INLINE {
                    const char * y = b + most * 4 + r * 1024 + v * 128;
                    const __m512i q = _mm512_sub_epi16(_mm512_maddubs_epi16(x[v], _mm512_loadu_si512(y)), _mm512_loadu_si512(y + 64));
                    sum[r] = _mm512_dpwssd_epi32(sum[r], s[v], q);
                });
            });
            each<P>([&](auto r) SKERRY_INLINE {
                const __m512i at = _mm512_add_epi32(first, _mm512_set1_epi32(2 * r));
                acc[r] = _mm512_fmadd_ps(_mm512_permutexvar_ps(at, d), _mm512_cvtepi32_ps(sum[r]), acc[r]);
            });
        }
        each<R>([&](auto r) SKERRY_INLINE {
            const __m512 v = acc[r / 2];
            p.c[(row + r) * p.ldc + i] = sum_of(r % 2 ? _mm512_extractf32x8_ps(v, 1) : _mm512_castps512_ps256(v));
        });
    }
};

} // namespace

#endif
