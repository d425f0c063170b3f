// Q4_K weights in ggml's layout of eight interleaved columns by rows of Q8_K, with the
// instructions that multiply and add bytes in vectors of 512 bits. For each column ggml's
// kernels for one row and for four do the same float32 operations in the same order, so
// that a row comes to the same bits in every batch.
#define GGML_COMMON_DECL_CPP
#include "ggml-common.h"
#include "ggml-cpu-impl.h"
#include "repack.h"
#include "each.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

// ggml's own, under the names that CMakeLists.txt gives them, for other processors.
extern "C" void skerry_gemv_q4_k(int n, float * s, size_t bs, const void * vx, const void * vy, int nr, int nc);
extern "C" void skerry_gemm_q4_k(int n, float * s, size_t bs, const void * vx, const void * vy, int nr, int nc);

#if defined(__AVX512VNNI__) && defined(__AVX512VL__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#include <immintrin.h>

namespace {

// rows_of gives the parts of R rows of Q8_K: eight values from v on of row r, the sum of
// the 32 values of part j, and the scale.
struct single {  // block_q8_K, R = 1
    const block_q8_K * y;
    int64_t nb;
    float scale(int64_t b, int) const { return y[b].d; }
    const int8_t * values(int64_t b, int, int v) const { return y[b].qs + v; }
    int sum(int64_t b, int, int j) const { return y[b].bsums[2 * j] + y[b].bsums[2 * j + 1]; }
};

struct quads {  // block_q8_Kx4, which interleaves eight values of each of four rows
    const block_q8_Kx4 * y;
    int64_t nb;
    const block_q8_Kx4 & at(int64_t b, int r) const { return y[r / 4 * nb + b]; }
    float scale(int64_t b, int r) const { return at(b, r).d[r % 4]; }
    const int8_t * values(int64_t b, int r, int v) const { return at(b, r).qs + v * 4 + r % 4 * 8; }
    int sum(int64_t b, int r, int j) const {
        const int16_t * s = at(b, r).bsums + j / 2 * 16 + r % 4 * 4 + j % 2 * 2;
        return s[0] + s[1];
    }
};

inline __m512i twice(__m128i bytes) {  // eight bytes, each into both halves of a column
    return _mm512_shuffle_epi32(_mm512_cvtepu8_epi64(bytes), (_MM_PERM_ENUM) 0xA0);
}

// eight computes eight columns of R rows.
template <int R, class Y> void eight(const Y & y, const block_q4_Kx8 * x, float * s, size_t bs) {
    const __m512i low = _mm512_set1_epi8(15);
    __m256 acc[R], min[R];
    each<R>([&](auto r) SKERRY_INLINE { acc[r] = min[r] = _mm256_setzero_ps(); });
    for (int64_t b = 0; b < y.nb; b++) {
        const block_q4_Kx8 & w = x[b];
        __builtin_prefetch((const char *) &w + 4096);
        __m512i sum[R];
        __m256i less[R];
        each<R>([&](auto r) SKERRY_INLINE { sum[r] = _mm512_setzero_si512(); less[r] = _mm256_setzero_si256(); });
        for (int g = 0; g < 4; g++) {  // 64 values, of which the second half lies in the high bits
            for (int64_t p = 0; p < 256; p += 64) __builtin_prefetch(w.qs + g * 256 + p + 4096);
            __m128i scale[2];
            for (int h = 0; h < 2; h++) {
                uint32_t u[4];
                memcpy(u, w.scales + 24 * g + 12 * h, 12);
                const uint32_t a = (u[2] & 0x0f0f0f0f) | (u[0] >> 6 & 0x03030303) << 4, c = (u[2] >> 4 & 0x0f0f0f0f) | (u[1] >> 6 & 0x03030303) << 4;
                scale[h] = _mm_set_epi32((int) c, (int) (u[1] & 0x3f3f3f3f), (int) a, (int) (u[0] & 0x3f3f3f3f));
            }
            const __m256i mins = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(_mm_srli_si128(scale[0], 8), _mm_srli_si128(scale[1], 8)));
            __m512i q[4];
            each<4>([&](auto i) SKERRY_INLINE { q[i] = _mm512_loadu_si512(w.qs + g * 256 + i * 64); });
            each<2>([&](auto h) SKERRY_INLINE {
                const __m512i by = twice(scale[h]);
                each<R>([&](auto r) SKERRY_INLINE {
                    __m512i part = _mm512_setzero_si512();
                    each<4>([&](auto i) SKERRY_INLINE {
                        int64_t v;
                        memcpy(&v, y.values(b, r, g * 64 + h * 32 + i * 8), 8);
                        part = _mm512_dpbusd_epi32(part, _mm512_and_si512(h ? _mm512_srli_epi16(q[i], 4) : q[i], low), _mm512_set1_epi64(v));
                    });
                    // A part of 16 products fits in 16 bits; the upper ones are its sign.
                    sum[r] = _mm512_dpwssd_epi32(sum[r], part, by);
                });
            });
            each<R>([&](auto r) SKERRY_INLINE {
                const uint32_t pair = (uint32_t) (uint16_t) y.sum(b, r, 2 * g) | (uint32_t) (uint16_t) y.sum(b, r, 2 * g + 1) << 16;
                less[r] = _mm256_add_epi32(less[r], _mm256_madd_epi16(_mm256_set1_epi32((int) pair), mins));
            });
        }
        const __m256 d = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) w.d)), dmin = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) w.dmin));
        each<R>([&](auto r) SKERRY_INLINE {
            const __m256 e = _mm256_set1_ps(y.scale(b, r));
            const __m256i total = _mm512_cvtepi64_epi32(_mm512_add_epi32(sum[r], _mm512_srli_epi64(sum[r], 32)));
            acc[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), _mm256_mul_ps(d, e), acc[r]);
            min[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(less[r]), _mm256_mul_ps(dmin, e), min[r]);
        });
    }
    each<R>([&](auto r) SKERRY_INLINE { _mm256_storeu_ps(s + r * bs, _mm256_sub_ps(acc[r], min[r])); });
}

template <int R, class Y> void columns(const Y & y, const void * vx, float * s, size_t bs, int nc) {
    const block_q4_Kx8 * x = (const block_q4_Kx8 *) vx;
    for (int c = 0; c < nc; c += 8, x += y.nb) eight<R>(y, x, s + c, bs);
}

} // namespace
#endif

extern "C" void ggml_gemv_q4_K_8x8_q8_K(int n, float * s, size_t bs, const void * vx, const void * vy, int nr, int nc) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
    if (nr == 1) {
        columns<1>(single{ (const block_q8_K *) vy, n / QK_K }, vx, s, bs, nc);
        return;
    }
#endif
    skerry_gemv_q4_k(n, s, bs, vx, vy, nr, nc);
}

extern "C" void ggml_gemm_q4_K_8x8_q8_K(int n, float * s, size_t bs, const void * vx, const void * vy, int nr, int nc) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
    const int64_t nb = n / QK_K;
    const quads y = { (const block_q8_Kx4 *) vy, nb };
    for (int r = 0; r < nr;) {
        const quads at = { y.y + r / 4 * nb, nb };
        if (nr - r >= 8) columns<8>(at, vx, s + r * bs, bs, nc), r += 8;
        else columns<4>(at, vx, s + r * bs, bs, nc), r += 4;
    }
#else
    skerry_gemm_q4_k(n, s, bs, vx, vy, nr, nc);
#endif
}
