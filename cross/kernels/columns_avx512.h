// Kernels of columns.cpp for AVX-512 with VNNI: the columns of a group lie in one vector of
// 512 bits.
#ifndef SKERRY_COLUMNS_AVX512_H
#define SKERRY_COLUMNS_AVX512_H

#include <immintrin.h>

namespace {

inline __m512i eight_bytes(const int8_t * p) {  // the same eight for each column
    int64_t v;
    memcpy(&v, p, sizeof v);
    return _mm512_set1_epi64(v);
}

// by_column adds the two halves of each column.
inline __m256i by_column(__m512i v) { return _mm512_cvtepi64_epi32(_mm512_add_epi32(v, _mm512_srli_epi64(v, 32))); }

inline __m256 halves(const ggml_half * p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) p)); }

// Q4_K by rows of Q8_K.
struct q4_k {
    typedef block_q4_Kx8 block;
    typedef block_q8_K   row;
    static constexpr int values = QK_K, columns = 8;
    static bool takes(int64_t) { return true; }
    static void quantize(const float * x, void * y, int64_t n) { quantize_row_q8_K(x, y, n); }

    // group computes eight columns of R rows of nb blocks, to s, whose rows are stride apart.
    template <int R> static void group(const block * x, const row * y, int64_t nb, float * s, int64_t stride) {
        const __m512i low = _mm512_set1_epi8(15);
        __m256 acc[R], min[R];
        each<R>([&](auto r) SKERRY_INLINE { acc[r] = min[r] = _mm256_setzero_ps(); });
        for (int64_t b = 0; b < nb; b++) {
            const block & w = x[b];
            __m512i sum[R];
            __m256i less[R];
            each<R>([&](auto r) SKERRY_INLINE { sum[r] = _mm512_setzero_si512(); less[r] = _mm256_setzero_si256(); });
            for (int g = 0; g < 4; g++) {  // 64 values, of which the second half lies in the high bits
                for (int p = 0; p < 288; p += 64) __builtin_prefetch((const char *) &w + 4096 + g * 288 + p);
                __m128i scale[2];
                for (int h = 0; h < 2; h++) {
                    uint32_t u[3];
                    memcpy(u, w.scales + 24 * g + 12 * h, 12);
                    const uint32_t a = (u[2] & 0x0f0f0f0f) | (u[0] >> 6 & 0x03030303) << 4, c = (u[2] >> 4 & 0x0f0f0f0f) | (u[1] >> 6 & 0x03030303) << 4;
                    scale[h] = _mm_set_epi32((int) c, (int) (u[1] & 0x3f3f3f3f), (int) a, (int) (u[0] & 0x3f3f3f3f));
                }
                const __m256i mins = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(_mm_srli_si128(scale[0], 8), _mm_srli_si128(scale[1], 8)));
                __m512i q[4];
                each<4>([&](auto i) SKERRY_INLINE { q[i] = _mm512_loadu_si512(w.qs + g * 256 + i * 64); });
                each<2>([&](auto h) SKERRY_INLINE {
                    const __m512i by = _mm512_shuffle_epi32(_mm512_cvtepu8_epi64(scale[h]), (_MM_PERM_ENUM) 0xA0);
                    __m512i v[4];
                    each<4>([&](auto i) SKERRY_INLINE { v[i] = _mm512_and_si512(h ? _mm512_srli_epi16(q[i], 4) : q[i], low); });
                    each<R>([&](auto r) SKERRY_INLINE {
                        const int8_t * z = y[r * nb + b].qs + g * 64 + h * 32;
                        __m512i part = _mm512_setzero_si512();
                        each<4>([&](auto i) SKERRY_INLINE { part = _mm512_dpbusd_epi32(part, v[i], eight_bytes(z + i * 8)); });
                        // A part of sixteen products fits in 16 bits; what is above is its sign.
                        sum[r] = _mm512_dpwssd_epi32(sum[r], part, by);
                    });
                });
                each<R>([&](auto r) SKERRY_INLINE {
                    const int16_t * z = y[r * nb + b].bsums + 4 * g;
                    const uint32_t pair = (uint32_t) (uint16_t) (z[0] + z[1]) | (uint32_t) (uint16_t) (z[2] + z[3]) << 16;
                    less[r] = _mm256_dpwssd_epi32(less[r], _mm256_set1_epi32((int) pair), mins);
                });
            }
            const __m256 d = halves(w.d), dmin = halves(w.dmin);
            each<R>([&](auto r) SKERRY_INLINE {
                const __m256 e = _mm256_set1_ps(y[r * nb + b].d);
                acc[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(by_column(sum[r])), _mm256_mul_ps(d, e), acc[r]);
                min[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(less[r]), _mm256_mul_ps(dmin, e), min[r]);
            });
        }
        each<R>([&](auto r) SKERRY_INLINE { _mm256_storeu_ps(s + r * stride, _mm256_sub_ps(acc[r], min[r])); });
    }
};

// Q4_0 by rows of Q8_0, whose values have 128 added to them, so that they have no sign.
struct q4_0 {
    typedef block_q4_0x8 block;
    typedef block_q8_0   row;
    static constexpr int values = QK4_0, columns = 8;
    static bool takes(int64_t) { return true; }

    static void quantize(const float * x, void * y, int64_t n) {
        quantize_row_q8_0(x, y, n);
        row * z = (row *) y;
        for (int64_t b = 0; b < n / values; b++) {
            for (int8_t & v : z[b].qs) v = (int8_t) (v ^ 128);
        }
    }

    template <int R> static void group(const block * x, const row * y, int64_t nb, float * s, int64_t stride) {
        const __m512i low = _mm512_set1_epi8(15);
        const __m512i sign = _mm512_broadcast_i32x4(_mm_set_epi8(-1, -2, -3, -4, -5, -6, -7, -8, 7, 6, 5, 4, 3, 2, 1, 0));
        __m256 acc[R];
        each<R>([&](auto r) SKERRY_INLINE { acc[r] = _mm256_setzero_ps(); });
        for (int64_t b = 0; b < nb; b++) {
            const block & w = x[b];
            for (int p = 0; p < 192; p += 64) __builtin_prefetch((const char *) &w + 4096 + p);
            const __m512i q[2] = { _mm512_loadu_si512(w.qs), _mm512_loadu_si512(w.qs + 64) };
            __m512i v[4], back = _mm512_setzero_si512();
            each<4>([&](auto i) SKERRY_INLINE {
                v[i] = _mm512_shuffle_epi8(sign, _mm512_and_si512(i < 2 ? q[i % 2] : _mm512_srli_epi16(q[i % 2], 4), low));
                back = _mm512_dpbusd_epi32(back, _mm512_set1_epi8((char) 128), v[i]);
            });
            back = _mm512_sub_epi32(_mm512_setzero_si512(), back);
            const __m256 d = halves(w.d);
            each<R>([&](auto r) SKERRY_INLINE {
                const row & z = y[r * nb + b];
                __m512i sum = back;
                each<4>([&](auto i) SKERRY_INLINE { sum = _mm512_dpbusd_epi32(sum, eight_bytes(z.qs + i * 8), v[i]); });
                acc[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(by_column(sum)), _mm256_mul_ps(d, _mm256_set1_ps(_cvtsh_ss(z.d))), acc[r]);
            });
        }
        each<R>([&](auto r) SKERRY_INLINE { _mm256_storeu_ps(s + r * stride, acc[r]); });
    }
};

} // namespace

#endif
