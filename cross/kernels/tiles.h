// Products with weights as ggml packs them for AMX: sixteen columns beside one another, four
// values of each in 32 bits, block by block. Each kernel computes sixteen columns of R rows of nb
// blocks, to s, whose rows are stride apart. The sums of a block are integers, and exact; what is
// added in float32 is added in the order of ggml's kernel for one row.
#ifndef SKERRY_TILES_H
#define SKERRY_TILES_H

#include "each.h"
#include "ggml-quants.h"
#include "quants.h"

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace {

constexpr int wide = 16;  // columns of a tile

inline __m512i four_bytes(const int8_t * p) {  // the same four for each column
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm512_set1_epi32(v);
}

inline __m512 halves(const char * p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) p)); }

// A block of a row as the kernels for Q8_0 read it: back takes away the 128 that is added to each
// value of the weights, which have no sign as they are multiplied.
struct row_q8_0 {
    int8_t  qs[32];
    float   d;
    int32_t back;
};

// A block of a row as the kernels for Q4_K and Q6_K read it: sums are of sixteen values each, pairs
// of 32.
struct row_q8_K {
    int8_t  qs[256];
    int16_t sums[16], pairs[8];
    float   d;
    char    rest[12];  // rows begin where lines of the cache do
};

// What is packed of sixteen columns: 32 values of each and their scales, as much as is stored of
// them. ggml's own packing has 128 times their sums too.
struct tile_q8_0 {
    typedef row_q8_0 row;
    static constexpr int values = 32, size = 512 + 32;

    static void quantize(const float * x, row * y, int64_t nb) {
        for (int64_t b = 0; b < nb; b++) {
            block_q8_0 q;
            quantize_row_q8_0(x + b * values, &q, values);
            memcpy(y[b].qs, q.qs, sizeof q.qs);
            y[b].d = _cvtsh_ss(q.d);
            y[b].back = 0;
            for (int8_t v : q.qs) y[b].back -= 128 * v;
        }
    }

    // pack packs block b of sixteen columns of nb blocks.
    static void pack(const block_q8_0 * x, int64_t nb, int64_t b, char * to) {
        for (int c = 0; c < wide; c++) {
            const block_q8_0 & v = x[c * nb + b];
            for (int i = 0; i < 8; i++) memcpy(to + i * 64 + c * 4, v.qs + i * 4, 4);
            memcpy(to + 512 + c * 2, &v.d, 2);
        }
    }

    template <int R> static void group(const char * w, const row * y, int64_t nb, float * s, int64_t stride) {
        const __m512i sign = _mm512_set1_epi8((char) 128);
        __m512 acc[R];
        each<R>([&](auto r) SKERRY_INLINE { acc[r] = _mm512_setzero_ps(); });
        for (int64_t b = 0; b < nb; b++, w += size) {
            __m512i v[8];
            each<8>([&](auto i) SKERRY_INLINE { v[i] = _mm512_xor_si512(_mm512_loadu_si512(w + i * 64), sign); });
            const __m512 d = halves(w + 512);
            each<R>([&](auto r) SKERRY_INLINE {
                const row & z = y[r * nb + b];
                __m512i sum = _mm512_set1_epi32(z.back);
                each<8>([&](auto i) SKERRY_INLINE { sum = _mm512_dpbusd_epi32(sum, v[i], four_bytes(z.qs + i * 4)); });
                acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(d, _mm512_set1_ps(z.d)), acc[r]);
            });
        }
        each<R>([&](auto r) SKERRY_INLINE { _mm512_storeu_ps(s + r * stride, acc[r]); });
    }
};

template <class Row> void quantize_to_q8_K(const float * x, Row * y, int64_t nb) {
    for (int64_t b = 0; b < nb; b++) {
        block_q8_K q;
        quantize_row_q8_K(x + b * QK_K, &q, QK_K);
        memcpy(y[b].qs, q.qs, sizeof q.qs);
        memcpy(y[b].sums, q.bsums, sizeof q.bsums);
        for (int i = 0; i < 8; i++) y[b].pairs[i] = (int16_t) (q.bsums[2 * i] + q.bsums[2 * i + 1]);
        y[b].d = q.d;
    }
}

// What is packed of sixteen columns: 256 values of each by four bits, the scales of 32 each, their
// least values by pairs, and the scales of both.
struct tile_q4_K {
    typedef row_q8_K row;
    static constexpr int values = QK_K, size = 2048 + 128 + 128 + 32 + 32;

    static void quantize(const float * x, row * y, int64_t nb) { quantize_to_q8_K(x, y, nb); }

    template <int R> static void group(const char * w, const row * y, int64_t nb, float * s, int64_t stride) {
        const __m512i low = _mm512_set1_epi8(15);
        __m512 acc[R];
        each<R>([&](auto r) SKERRY_INLINE { acc[r] = _mm512_setzero_ps(); });
        for (int64_t b = 0; b < nb; b++, w += size) {
            __m512i sum[R];
            each<R>([&](auto r) SKERRY_INLINE { sum[r] = _mm512_setzero_si512(); });
            for (int g = 0; g < 8; g++) {
                __m512i v[8];
                each<4>([&](auto i) SKERRY_INLINE {
                    const __m512i q = _mm512_loadu_si512(w + g * 256 + i * 64);
                    v[2 * i]     = _mm512_and_si512(q, low);
                    v[2 * i + 1] = _mm512_and_si512(_mm512_srli_epi16(q, 4), low);
                });
                const __m512i by = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *) (w + 2048 + g * 16)));
                each<R>([&](auto r) SKERRY_INLINE {
                    const int8_t * z = y[r * nb + b].qs + g * 32;
                    each<2>([&](auto h) SKERRY_INLINE {
                        __m512i part = _mm512_setzero_si512();
                        each<4>([&](auto i) SKERRY_INLINE { part = _mm512_dpbusd_epi32(part, v[4 * h + i], four_bytes(z + h * 16 + i * 4)); });
                        // A part of sixteen products fits in 16 bits; what is above is its sign.
                        sum[r] = _mm512_dpwssd_epi32(sum[r], part, by);
                    });
                });
            }
            __m512i mins[4];
            each<4>([&](auto i) SKERRY_INLINE { mins[i] = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *) (w + 2176 + i * 32))); });
            const __m512 d = halves(w + 2304), dmin = halves(w + 2336);
            each<R>([&](auto r) SKERRY_INLINE {
                const row & z = y[r * nb + b];
                __m512i less = _mm512_setzero_si512();
                each<4>([&](auto i) SKERRY_INLINE { less = _mm512_dpwssd_epi32(less, four_bytes((const int8_t *) (z.pairs + 2 * i)), mins[i]); });
                const __m512 e = _mm512_set1_ps(z.d);
                acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r]), _mm512_mul_ps(d, e), acc[r]);
                acc[r] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(less), _mm512_mul_ps(dmin, e), acc[r]);
            });
        }
        each<R>([&](auto r) SKERRY_INLINE { _mm512_storeu_ps(s + r * stride, acc[r]); });
    }
};

// What is packed of sixteen columns: 256 values of each, four bits and then two bits, the scales of
// sixteen each, and theirs.
struct tile_q6_K {
    typedef row_q8_K row;
    static constexpr int values = QK_K, size = 2048 + 1024 + 256 + 32;

    static void quantize(const float * x, row * y, int64_t nb) { quantize_to_q8_K(x, y, nb); }

    // unpack makes the sixteen values of group g, with 32 added to them.
    SKERRY_INLINE static void unpack(const char * w, int g, __m512i (&v)[4]) {
        const __m512i low = _mm512_set1_epi8(15), high = _mm512_set1_epi8(48);
        const __m512i q = _mm512_loadu_si512(w + g * 128), u = _mm512_loadu_si512(w + g * 128 + 64), h = _mm512_loadu_si512(w + 2048 + g * 64);
        v[0] = _mm512_or_si512(_mm512_and_si512(q, low), _mm512_and_si512(_mm512_slli_epi16(h, 4), high));
        v[1] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(q, 4), low), _mm512_and_si512(_mm512_slli_epi16(h, 2), high));
        v[2] = _mm512_or_si512(_mm512_and_si512(u, low), _mm512_and_si512(h, high));
        v[3] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(u, 4), low), _mm512_and_si512(_mm512_srli_epi16(h, 2), high));
    }

    template <int R> static void group(const char * w, const row * y, int64_t nb, float * s, int64_t stride) {
        __m512 acc[R];
        each<R>([&](auto r) SKERRY_INLINE { acc[r] = _mm512_setzero_ps(); });
        for (int64_t b = 0; b < nb; b++, w += size) {
            __m512i sum[R];
            each<R>([&](auto r) SKERRY_INLINE { sum[r] = _mm512_setzero_si512(); });
            for (int g = 0; g < 16; g++) {
                __m512i v[4];
                unpack(w, g, v);
                const __m512i by = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *) (w + 3072 + g * 16)));
                each<R>([&](auto r) SKERRY_INLINE {
                    const row & z = y[r * nb + b];
                    __m512i part = _mm512_set1_epi32(-32 * z.sums[g]);
                    each<4>([&](auto i) SKERRY_INLINE { part = _mm512_dpbusd_epi32(part, v[i], four_bytes(z.qs + g * 16 + i * 4)); });
                    sum[r] = _mm512_add_epi32(sum[r], _mm512_mullo_epi32(part, by));
                });
            }
            const __m512 d = halves(w + 3328);
            each<R>([&](auto r) SKERRY_INLINE {
                acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r]), _mm512_mul_ps(d, _mm512_set1_ps(y[r * nb + b].d)), acc[r]);
            });
        }
        each<R>([&](auto r) SKERRY_INLINE { _mm512_storeu_ps(s + r * stride, acc[r]); });
    }
};

} // namespace

#endif
