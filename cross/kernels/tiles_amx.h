// Sixteen columns of sixteen rows and more by the tiles of AMX, with the weights of tiles.h. Tiles
// make sums of integers alone. What is added in float32 is added as in tiles.h, so that a row comes
// to the same bits.
//
// Of Q8_0 a tile's sum is that of one block. Of Q4_K and Q6_K each value is multiplied by its scale
// first, which makes ten and thirteen bits, and taken apart into two parts of at most eight bits, so
// that tiles add up the whole block of 256 values, whose sum is that of the low parts and 128 times
// that of the high ones.
#ifndef SKERRY_TILES_AMX_H
#define SKERRY_TILES_AMX_H

#include "tiles.h"

namespace {
namespace amx {

constexpr int rows = 16;  // of a tile

struct alignas(64) sums { int32_t v[rows][wide]; };

// begin sets up the tiles: 0 and 1 for rows, 2 and 3 for weights, the others for sums.
template <class T> void begin() {
    constexpr int bytes = T::values < 64 ? T::values : 64;  // of a row in a tile
    struct { uint8_t palette, start, none[14]; uint16_t width[16]; uint8_t height[16]; } c;
    memset(&c, 0, sizeof c);
    c.palette = 1;
    for (int i = 0; i < 8; i++) {
        c.width[i] = i < 2 ? bytes : wide * 4;
        c.height[i] = i == 2 || i == 3 ? bytes / 4 : rows;
    }
    _tile_loadconfig(&c);
}

inline void end() { _tile_release(); }

template <class T> void columns(const char *, const typename T::row *, int64_t, int64_t, float *, int64_t);

template <> inline void columns<tile_q8_0>(const char * w, const row_q8_0 * y, int64_t nb, int64_t n, float * s, int64_t stride) {
    const size_t from_row = (size_t) nb * sizeof *y;
    sums c[2];
    for (int64_t r = 0; r < n; r += rows, y += rows * nb, s += rows * stride) {
        __m512 acc[rows];
        each<rows>([&](auto i) SKERRY_INLINE { acc[i] = _mm512_setzero_ps(); });
        auto add = [&](int64_t b, const sums & of) SKERRY_INLINE {
            const __m512 d = halves(w + b * tile_q8_0::size + 512);
            each<rows>([&](auto i) SKERRY_INLINE {
                acc[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(of.v[i])), _mm512_mul_ps(d, _mm512_set1_ps(y[i * nb + b].d)), acc[i]);
            });
        };
        auto sum = [&](int64_t b) SKERRY_INLINE {
            if (b % 2 == 0) {
                _tile_zero(4);
                _tile_loadd(0, y[b].qs, from_row);
                _tile_loadd(2, w + b * tile_q8_0::size, 64);
                _tile_dpbssd(4, 0, 2);
                _tile_stored(4, c[0].v, 64);
            } else {
                _tile_zero(5);
                _tile_loadd(1, y[b].qs, from_row);
                _tile_loadd(3, w + b * tile_q8_0::size, 64);
                _tile_dpbssd(5, 1, 3);
                _tile_stored(5, c[1].v, 64);
            }
        };
        sum(0);
        for (int64_t b = 0; b < nb; b++) {  // the next block's tile is made while this one's is added
            if (b + 1 < nb) sum(b + 1);
            add(b, c[b % 2]);
        }
        each<rows>([&](auto i) SKERRY_INLINE { _mm512_storeu_ps(s + i * stride, acc[i]); });
    }
}

// Weights of a block as tiles take them: 64 values of each column are a tile.
struct alignas(64) parts { __m512i low[64], high[64]; };

// take_apart multiplies the 256 values of a block by their scales.
inline void take_apart(const tile_q4_K *, const char * w, parts & to) {
    const __m512i nibble = _mm512_set1_epi8(15), byte = _mm512_set1_epi16(255), low = _mm512_set1_epi16(127);
    for (int g = 0; g < 8; g++) {
        const __m512i one = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *) (w + 2048 + g * 16)));
        const __m512i by = _mm512_or_si512(one, _mm512_slli_epi32(one, 16));
        for (int i = 0; i < 4; i++) {
            const __m512i q = _mm512_loadu_si512(w + g * 256 + i * 64);
            for (int h = 0; h < 2; h++) {
                const __m512i v = _mm512_and_si512(h ? _mm512_srli_epi16(q, 4) : q, nibble);
                const __m512i even = _mm512_mullo_epi16(_mm512_and_si512(v, byte), by), odd = _mm512_mullo_epi16(_mm512_srli_epi16(v, 8), by);
                const int at = g * 8 + i * 2 + h;
                to.low[at]  = _mm512_or_si512(_mm512_and_si512(even, low), _mm512_slli_epi16(_mm512_and_si512(odd, low), 8));
                to.high[at] = _mm512_or_si512(_mm512_srli_epi16(even, 7), _mm512_slli_epi16(_mm512_srli_epi16(odd, 7), 8));
            }
        }
    }
}

inline void take_apart(const tile_q6_K *, const char * w, parts & to) {
    const __m512i byte = _mm512_set1_epi16(255), low = _mm512_set1_epi16(127), half = _mm512_set1_epi16(64);
    for (int g = 0; g < 16; g++) {
        const __m512i one = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *) (w + 3072 + g * 16)));
        const __m512i by = _mm512_or_si512(_mm512_and_si512(one, _mm512_set1_epi32(0xffff)), _mm512_slli_epi32(one, 16));
        __m512i q[4];
        tile_q6_K::unpack(w, g, q);
        for (int i = 0; i < 4; i++) {
            const __m512i v = _mm512_sub_epi8(q[i], _mm512_set1_epi8(32));
            const __m512i even = _mm512_add_epi16(_mm512_mullo_epi16(_mm512_srai_epi16(_mm512_slli_epi16(v, 8), 8), by), half);
            const __m512i odd = _mm512_add_epi16(_mm512_mullo_epi16(_mm512_srai_epi16(v, 8), by), half);
            const __m512i l = _mm512_or_si512(_mm512_and_si512(even, low), _mm512_slli_epi16(_mm512_and_si512(odd, low), 8));
            to.low[g * 4 + i]  = _mm512_sub_epi8(l, _mm512_set1_epi8(64));
            to.high[g * 4 + i] = _mm512_or_si512(_mm512_and_si512(_mm512_srai_epi16(even, 7), byte), _mm512_slli_epi16(_mm512_srai_epi16(odd, 7), 8));
        }
    }
}

// What of a block is added for a row to the sums so far, of the block's sum.
struct add_q4_K {
    __m512i mins[4];
    __m512  d, dmin;
    explicit add_q4_K(const char * w) : d(halves(w + 2304)), dmin(halves(w + 2336)) {
        for (int i = 0; i < 4; i++) mins[i] = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *) (w + 2176 + i * 32)));
    }
    SKERRY_INLINE __m512 operator()(__m512 acc, __m512i sum, const row_q8_K & z) const {
        __m512i less = _mm512_setzero_si512();
        each<4>([&](auto i) SKERRY_INLINE { less = _mm512_dpwssd_epi32(less, mins[i], four_bytes((const int8_t *) (z.pairs + 2 * i))); });
        const __m512 e = _mm512_set1_ps(z.d);
        acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(d, e), acc);
        return _mm512_fnmadd_ps(_mm512_cvtepi32_ps(less), _mm512_mul_ps(dmin, e), acc);
    }
};

struct add_q6_K {
    __m512 d;
    explicit add_q6_K(const char * w) : d(halves(w + 3328)) {}
    SKERRY_INLINE __m512 operator()(__m512 acc, __m512i sum, const row_q8_K & z) const {
        return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(d, _mm512_set1_ps(z.d)), acc);
    }
};

// add adds the block b of sixteen rows, whose parts' sums are low and high.
template <class Add> SKERRY_INLINE inline void add(const Add & f, const sums & low, const sums & high, const row_q8_K * y, int64_t b, int64_t nb, float * s, int64_t stride) {
    each<rows>([&](auto i) SKERRY_INLINE {
        const __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(_mm512_load_si512(high.v[i]), 7), _mm512_load_si512(low.v[i]));
        const __m512 acc = b > 0 ? _mm512_loadu_ps(s + i * stride) : _mm512_setzero_ps();
        _mm512_storeu_ps(s + i * stride, f(acc, sum, y[i * nb + b]));
    });
}

// by_blocks takes block by block of the weights past all rows: one that is taken apart lies in the
// nearest cache meanwhile.
template <class T, class Add> void by_blocks(const char * w, const row_q8_K * y, int64_t nb, int64_t n, float * s, int64_t stride) {
    const size_t from_row = (size_t) nb * sizeof *y;
    parts p;
    sums c[4];
    for (int64_t b = 0; b < nb; b++, w += T::size) {
        take_apart((const T *) nullptr, w, p);
        const Add f(w);
        int64_t r = 0;
        for (; r + 2 * rows <= n; r += 2 * rows) {
            const row_q8_K * z = y + r * nb;
            _tile_zero(4);
            _tile_zero(5);
            _tile_zero(6);
            _tile_zero(7);
            each<4>([&](auto k) SKERRY_INLINE {
                _tile_loadd(0, z[b].qs + k * 64, from_row);
                _tile_loadd(1, z[rows * nb + b].qs + k * 64, from_row);
                _tile_loadd(2, p.low + k * 16, 64);
                _tile_loadd(3, p.high + k * 16, 64);
                _tile_dpbssd(4, 0, 2);
                _tile_dpbssd(5, 0, 3);
                _tile_dpbssd(6, 1, 2);
                _tile_dpbssd(7, 1, 3);
            });
            _tile_stored(4, c[0].v, 64);
            _tile_stored(5, c[1].v, 64);
            _tile_stored(6, c[2].v, 64);
            _tile_stored(7, c[3].v, 64);
            add(f, c[0], c[1], z, b, nb, s + r * stride, stride);
            add(f, c[2], c[3], z + rows * nb, b, nb, s + (r + rows) * stride, stride);
        }
        if (r < n) {
            const row_q8_K * z = y + r * nb;
            _tile_zero(4);
            _tile_zero(5);
            each<4>([&](auto k) SKERRY_INLINE {
                _tile_loadd(0, z[b].qs + k * 64, from_row);
                _tile_loadd(2, p.low + k * 16, 64);
                _tile_loadd(3, p.high + k * 16, 64);
                _tile_dpbssd(4, 0, 2);
                _tile_dpbssd(5, 0, 3);
            });
            _tile_stored(4, c[0].v, 64);
            _tile_stored(5, c[1].v, 64);
            add(f, c[0], c[1], z, b, nb, s + r * stride, stride);
        }
    }
}

template <> inline void columns<tile_q4_K>(const char * w, const row_q8_K * y, int64_t nb, int64_t n, float * s, int64_t stride) {
    by_blocks<tile_q4_K, add_q4_K>(w, y, nb, n, s, stride);
}

template <> inline void columns<tile_q6_K>(const char * w, const row_q8_K * y, int64_t nb, int64_t n, float * s, int64_t stride) {
    by_blocks<tile_q6_K, add_q6_K>(w, y, nb, n, s, stride);
}

} // namespace amx
} // namespace

#endif
