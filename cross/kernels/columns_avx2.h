// Kernels of columns.cpp for AVX2, with VNNI where there is one of 256 bits: the columns of a
// group lie in two vectors, four in each, with eight bytes of each of them.
#ifndef SKERRY_COLUMNS_AVX2_H
#define SKERRY_COLUMNS_AVX2_H

#include <immintrin.h>

namespace {

inline __m256i eight_bytes(const int8_t * p) {  // the same eight for each column
    int64_t v;
    memcpy(&v, p, sizeof v);
    return _mm256_set1_epi64x(v);
}

inline __m256i four_bytes(const void * p) {
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm256_set1_epi32(v);
}

// Sums of columns from 0 to 3 and from 4 to 7 are added in the order 0 1 4 5 2 3 6 7; ordered
// makes this order of the other one and the other one of this.
inline __m256 ordered(__m256 v) { return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0xD8)); }

inline __m256 halves(const ggml_half * p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) p)); }

#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define SKERRY_DPBUSD _mm256_dpbusd_epi32
#define SKERRY_DPWSSD _mm256_dpwssd_epi32
#elif defined(__AVXVNNI__)
#define SKERRY_DPBUSD _mm256_dpbusd_avx_epi32
#define SKERRY_DPWSSD _mm256_dpwssd_avx_epi32
#endif

// dot multiplies bytes without a sign by bytes with one in four vectors each and adds up, for
// each column, in two parts of 32 bits with VNNI and in four of 16 bits without. The caller
// sees to it that a part fits in 16 bits.
SKERRY_INLINE inline __m256i dot(const __m256i (&u)[4], const __m256i (&v)[4]) {
#ifdef SKERRY_DPBUSD
    __m256i part = _mm256_setzero_si256();
    each<4>([&](auto i) SKERRY_INLINE { part = SKERRY_DPBUSD(part, u[i], v[i]); });
    return part;
#else
    return _mm256_add_epi16(_mm256_add_epi16(_mm256_maddubs_epi16(u[0], v[0]), _mm256_maddubs_epi16(u[1], v[1])),
                            _mm256_add_epi16(_mm256_maddubs_epi16(u[2], v[2]), _mm256_maddubs_epi16(u[3], v[3])));
#endif
}

// add adds to sum, pair by pair of 16 bits, the products of a and b.
SKERRY_INLINE inline __m256i add(__m256i sum, __m256i a, __m256i b) {
#ifdef SKERRY_DPWSSD
    return SKERRY_DPWSSD(sum, a, b);
#else
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
#endif
}

// Q4_K by rows of Q8_K, in which sums of sixteen values are added to sums of 32, of which
// there are eight, at the beginning.
struct q4_k {
    typedef block_q4_Kx8 block;
    typedef block_q8_K   row;
    static constexpr int values = QK_K, columns = 8;
    static bool takes(int64_t) { return true; }

    static void quantize(const float * x, void * y, int64_t n) {
        quantize_row_q8_K(x, y, n);
        row * z = (row *) y;
        for (int64_t b = 0; b < n / values; b++) {
            const __m128i * at = (const __m128i *) z[b].bsums;
            _mm_storeu_si128((__m128i *) z[b].bsums, _mm_hadd_epi16(_mm_loadu_si128(at), _mm_loadu_si128(at + 1)));
        }
    }

    // group computes eight columns of R rows of nb blocks, to s, whose rows are stride apart.
    template <int R> static void group(const block * x, const row * y, int64_t nb, float * s, int64_t stride) {
        const __m256i low = _mm256_set1_epi8(15);
        // The scale of each column for each of its parts.
#ifdef SKERRY_DPWSSD
        const __m256i by_part[2] = {
            _mm256_set_epi8(-1, -1, -1, 3, -1, -1, -1, 3, -1, -1, -1, 2, -1, -1, -1, 2, -1, -1, -1, 1, -1, -1, -1, 1, -1, -1, -1, 0, -1, -1, -1, 0),
            _mm256_set_epi8(-1, -1, -1, 7, -1, -1, -1, 7, -1, -1, -1, 6, -1, -1, -1, 6, -1, -1, -1, 5, -1, -1, -1, 5, -1, -1, -1, 4, -1, -1, -1, 4),
        };
#else
        const __m256i by_part[2] = {
            _mm256_set_epi8(-1, 3, -1, 3, -1, 3, -1, 3, -1, 2, -1, 2, -1, 2, -1, 2, -1, 1, -1, 1, -1, 1, -1, 1, -1, 0, -1, 0, -1, 0, -1, 0),
            _mm256_set_epi8(-1, 7, -1, 7, -1, 7, -1, 7, -1, 6, -1, 6, -1, 6, -1, 6, -1, 5, -1, 5, -1, 5, -1, 5, -1, 4, -1, 4, -1, 4, -1, 4),
        };
#endif
        __m256 acc[R], min[R];
        each<R>([&](auto r) SKERRY_INLINE { acc[r] = min[r] = _mm256_setzero_ps(); });
        for (int64_t b = 0; b < nb; b++) {
            const block & w = x[b];
            __m256i sum[R][2], less[R];
            each<R>([&](auto r) SKERRY_INLINE { sum[r][0] = sum[r][1] = less[r] = _mm256_setzero_si256(); });
            for (int g = 0; g < 4; g++) {  // 64 values, of which the second half lies in the high bits
                for (int p = 0; p < 288; p += 64) __builtin_prefetch((const char *) &w + 4096 + g * 288 + p);
                uint64_t scale[2], least[2];
                for (int h = 0; h < 2; h++) {
                    uint32_t u[3];
                    memcpy(u, w.scales + 24 * g + 12 * h, 12);
                    const uint32_t a = (u[2] & 0x0f0f0f0f) | (u[0] >> 6 & 0x03030303) << 4, c = (u[2] >> 4 & 0x0f0f0f0f) | (u[1] >> 6 & 0x03030303) << 4;
                    scale[h] = (uint64_t) a << 32 | (u[0] & 0x3f3f3f3f);
                    least[h] = (uint64_t) c << 32 | (u[1] & 0x3f3f3f3f);
                }
                const __m256i mins = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(_mm_cvtsi64_si128((int64_t) least[0]), _mm_cvtsi64_si128((int64_t) least[1])));
                each<R>([&](auto r) SKERRY_INLINE { less[r] = add(less[r], four_bytes(y[r * nb + b].bsums + 2 * g), mins); });
                each<2>([&](auto h) SKERRY_INLINE {
                    const __m256i scales = _mm256_set1_epi64x((int64_t) scale[h]);
                    const __m256i by[2] = { _mm256_shuffle_epi8(scales, by_part[0]), _mm256_shuffle_epi8(scales, by_part[1]) };
                    __m256i v[2][4];
                    each<4>([&](auto i) SKERRY_INLINE {
                        each<2>([&](auto c) SKERRY_INLINE {
                            const __m256i q = _mm256_loadu_si256((const __m256i *) (w.qs + g * 256 + i * 64 + c * 32));
                            v[c][i] = _mm256_and_si256(h ? _mm256_srli_epi16(q, 4) : q, low);
                        });
                    });
                    each<R>([&](auto r) SKERRY_INLINE {
                        const int8_t * z = y[r * nb + b].qs + g * 64 + h * 32;
                        const __m256i e[4] = { eight_bytes(z), eight_bytes(z + 8), eight_bytes(z + 16), eight_bytes(z + 24) };
                        each<2>([&](auto c) SKERRY_INLINE { sum[r][c] = add(sum[r][c], dot(v[c], e), by[c]); });
                    });
                });
            }
            const __m256 d = ordered(halves(w.d)), dmin = halves(w.dmin);
            each<R>([&](auto r) SKERRY_INLINE {
                const __m256 e = _mm256_set1_ps(y[r * nb + b].d);
                acc[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_hadd_epi32(sum[r][0], sum[r][1])), _mm256_mul_ps(d, e), acc[r]);
                min[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(less[r]), _mm256_mul_ps(dmin, e), min[r]);
            });
        }
        each<R>([&](auto r) SKERRY_INLINE { _mm256_storeu_ps(s + r * stride, _mm256_sub_ps(ordered(acc[r]), min[r])); });
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

    SKERRY_INLINE static inline __m256i by_column(__m256i a, __m256i b) {
#ifdef SKERRY_DPBUSD
        return _mm256_hadd_epi32(a, b);
#else
        return _mm256_madd_epi16(_mm256_hadd_epi16(a, b), _mm256_set1_epi16(1));
#endif
    }

    template <int R> static void group(const block * x, const row * y, int64_t nb, float * s, int64_t stride) {
        const __m256i low = _mm256_set1_epi8(15), add = _mm256_set1_epi8((char) 128);
        const __m256i added[4] = { add, add, add, add };
        const __m256i sign = _mm256_broadcastsi128_si256(_mm_set_epi8(-1, -2, -3, -4, -5, -6, -7, -8, 7, 6, 5, 4, 3, 2, 1, 0));
        __m256 acc[R];
        each<R>([&](auto r) SKERRY_INLINE { acc[r] = _mm256_setzero_ps(); });
        for (int64_t b = 0; b < nb; b++) {
            const block & w = x[b];
            for (int p = 0; p < 192; p += 64) __builtin_prefetch((const char *) &w + 4096 + p);
            __m256i v[2][4];
            each<2>([&](auto c) SKERRY_INLINE {
                each<4>([&](auto i) SKERRY_INLINE {
                    const __m256i q = _mm256_loadu_si256((const __m256i *) (w.qs + i % 2 * 64 + c * 32));
                    v[c][i] = _mm256_shuffle_epi8(sign, _mm256_and_si256(i < 2 ? q : _mm256_srli_epi16(q, 4), low));
                });
            });
            const __m256i back = by_column(dot(added, v[0]), dot(added, v[1]));
            const __m256 d = ordered(halves(w.d));
            each<R>([&](auto r) SKERRY_INLINE {
                const row & z = y[r * nb + b];
                const __m256i e[4] = { eight_bytes(z.qs), eight_bytes(z.qs + 8), eight_bytes(z.qs + 16), eight_bytes(z.qs + 24) };
                const __m256i sum = _mm256_sub_epi32(by_column(dot(e, v[0]), dot(e, v[1])), back);
                acc[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(d, _mm256_set1_ps(_cvtsh_ss(z.d))), acc[r]);
            });
        }
        each<R>([&](auto r) SKERRY_INLINE { _mm256_storeu_ps(s + r * stride, ordered(acc[r])); });
    }
};

} // namespace

#endif
