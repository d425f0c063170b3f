// Kernels of rows.cpp for arm64, with dot products of bytes where there are any.
#ifndef SKERRY_ROWS_NEON_H
#define SKERRY_ROWS_NEON_H

#include "each.h"
#include "ggml-quants.h"
#include "rows.h"

#include <arm_neon.h>

#include <cstring>

// ggml's tiles add in another order than its dot product of one row.
#define SKERRY_NO_TILES
#define SKERRY_ROWS_Q4

namespace {

inline float half(ggml_half h) {
    __fp16 v;
    memcpy(&v, &h, sizeof v);
    return v;
}

// the32 are the values of a block.
SKERRY_INLINE inline void the32(const block_q8_0 & w, int8x16_t (&x)[2]) {
    x[0] = vld1q_s8(w.qs);
    x[1] = vld1q_s8(w.qs + 16);
}

SKERRY_INLINE inline void the32(const block_q4_0 & w, int8x16_t (&x)[2]) {
    const uint8x16_t v = vld1q_u8(w.qs);
    x[0] = vsubq_s8(vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15))), vdupq_n_s8(8));
    x[1] = vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8(v, 4)), vdupq_n_s8(8));
}

// Q8_0 and Q4_0 by Q8_0. A group of rows of B is packed block by block: the scales of its rows,
// then the values of each. Blocks are added to two sums by turns, as ggml does.
template <class Block> struct by_q8_0 {
    typedef Block block;
    static bool takes(int64_t, int64_t nb) { return nb % 2 == 0; }
    static constexpr size_t step(int r) { return (size_t) (most * 4 + r * 32); }
    static constexpr int    rows(int r) { return r <= 2 ? 4 : 2; }

    template <int R> static void pack(const product & p, int64_t row, char * to) {
        for (int64_t l = 0; l < p.nb; l++, to += step(R)) {
            for (int r = 0; r < R; r++) {
                const block_q8_0 & y = ((const block_q8_0 *) (p.b + (row + r) * p.ldb))[l];
                ((float *) to)[r] = half(y.d);
                memcpy(to + most * 4 + r * 32, y.qs, 32);
            }
        }
    }

    SKERRY_INLINE static inline int32x4_t products(const int8x16_t (&x)[2], const int8x16_t (&y)[2]) {
#ifdef __ARM_FEATURE_DOTPROD
        return vdotq_s32(vdotq_s32(vdupq_n_s32(0), x[0], y[0]), x[1], y[1]);
#else
        // Two products, of which the rows of B are no less than -127, fit in 16 bits.
        const int16x8_t u = vmlal_high_s8(vmull_s8(vget_low_s8(x[0]), vget_low_s8(y[0])), x[0], y[0]);
        const int16x8_t v = vmlal_high_s8(vmull_s8(vget_low_s8(x[1]), vget_low_s8(y[1])), x[1], y[1]);
        return vpadalq_s16(vpaddlq_s16(u), v);
#endif
    }

    template <int M, int R> static void dot(const product & p, int64_t row, int64_t i, const char * b) {
        const block * a[M];
        for (int m = 0; m < M; m++) a[m] = (const block *) (p.a + (i + m) * p.lda);
        float32x4_t acc[M][R][2];
        each<M>([&](auto m) SKERRY_INLINE { each<R>([&](auto r) SKERRY_INLINE { acc[m][r][0] = acc[m][r][1] = vdupq_n_f32(0); }); });
        for (int64_t l = 0; l < p.nb; l += 2) {
            each<2>([&](auto h) SKERRY_INLINE {
                int8x16_t x[M][2];
                float     d[M];
                each<M>([&](auto m) SKERRY_INLINE {
                    __builtin_prefetch((const char *) a[0] + ((l + h) * M + m) * (int64_t) sizeof(block) + ahead);
                    the32(a[m][l + h], x[m]);
                    d[m] = half(a[m][l + h].d);
                });
                each<R>([&](auto r) SKERRY_INLINE {
                    const int8_t * z = (const int8_t *) b + most * 4 + r * 32;
                    const int8x16_t y[2] = { vld1q_s8(z), vld1q_s8(z + 16) };
                    const float e = ((const float *) b)[r];
                    each<M>([&](auto m) SKERRY_INLINE { acc[m][r][h] = vmlaq_n_f32(acc[m][r][h], vcvtq_f32_s32(products(x[m], y)), d[m] * e); });
                });
                b += step(R);
            });
        }
        each<M>([&](auto m) SKERRY_INLINE {
            each<R>([&](auto r) SKERRY_INLINE { p.c[(row + r) * p.ldc + i + m] = vaddvq_f32(acc[m][r][0]) + vaddvq_f32(acc[m][r][1]); });
        });
    }
};

template <class Block> constexpr int together<by_q8_0<Block>> = 4;  // more would leave registers for one row of A
typedef by_q8_0<block_q8_0> q8_0;
typedef by_q8_0<block_q4_0> q4_0;

// sums_of adds up the four parts of each of four sums.
SKERRY_INLINE inline float32x4_t sums_of(const int32x4_t * v) { return vcvtq_f32_s32(vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3]))); }

// Q6_K by Q8_K. A group of rows of B is packed block by block: the scales of its rows, then
// the values of each.
struct q6_k {
    typedef block_q6_K block;
    static constexpr size_t step(int r) { return (size_t) (most * 4 + r * QK_K); }
    static constexpr int    rows(int) { return 1; }

    template <int R> static void pack(const product & p, int64_t row, char * to) {
        for (int64_t l = 0; l < p.nb; l++, to += step(R)) {
            memset(to, 0, most * 4);
            for (int r = 0; r < R; r++) {
                const block_q8_K & y = ((const block_q8_K *) (p.b + (row + r) * p.ldb))[l];
                ((float *) to)[r] = y.d;
                memcpy(to + most * 4 + r * QK_K, y.qs, QK_K);
            }
        }
    }

    // unpack makes the 128 values of one half of a block.
    SKERRY_INLINE static inline void unpack(const block & w, int half, int8x16_t (&x)[8]) {
        const uint8x16_t low = vdupq_n_u8(15), high = vdupq_n_u8(48);
        each<2>([&](auto k) SKERRY_INLINE {
            const uint8x16_t u = vld1q_u8(w.ql + 64 * half + 16 * k), v = vld1q_u8(w.ql + 64 * half + 32 + 16 * k), t = vld1q_u8(w.qh + 32 * half + 16 * k);
            const uint8x16_t q[4] = {
                vorrq_u8(vandq_u8(u, low), vandq_u8(vshlq_n_u8(t, 4), high)),
                vorrq_u8(vandq_u8(v, low), vandq_u8(vshlq_n_u8(t, 2), high)),
                vorrq_u8(vshrq_n_u8(u, 4), vandq_u8(t, high)),
                vorrq_u8(vshrq_n_u8(v, 4), vandq_u8(vshrq_n_u8(t, 2), high)),
            };
            each<4>([&](auto j) SKERRY_INLINE { x[2 * j + k] = vsubq_s8(vreinterpretq_s8_u8(q[j]), vdupq_n_s8(32)); });
        });
    }

    template <int M, int R> static void dot(const product & p, int64_t row, int64_t i, const char * b) {
        const block * a = (const block *) (p.a + i * p.lda);
        float32x4_t acc[2] = { vdupq_n_f32(0), vdupq_n_f32(0) };
        for (int64_t l = 0; l < p.nb; l++, b += step(R)) {
            for (int at = 0; at < (int) sizeof(block); at += 64) __builtin_prefetch((const char *) (a + l) + ahead + at);
            int32x4_t sum[most];
            each<most>([&](auto r) SKERRY_INLINE { sum[r] = vdupq_n_s32(0); });
            each<2>([&](auto h) SKERRY_INLINE {
                int8x16_t x[8];
                unpack(a[l], h, x);
                const int16x8_t s = vmovl_s8(vld1_s8(a[l].scales + 8 * h));
#ifdef __ARM_FEATURE_DOTPROD
                const int32x4_t by[2] = { vmovl_s16(vget_low_s16(s)), vmovl_high_s16(s) };
#endif
                each<R>([&](auto r) SKERRY_INLINE {
                    const int8_t * z = (const int8_t *) b + most * 4 + r * QK_K + 128 * h;
                    each<8>([&](auto v) SKERRY_INLINE {  // a scale has sixteen values
                        const int8x16_t y = vld1q_s8(z + 16 * v);
#ifdef __ARM_FEATURE_DOTPROD
                        sum[r] = vmlaq_laneq_s32(sum[r], vdotq_s32(vdupq_n_s32(0), x[v], y), by[v / 4], decltype(v)::value % 4);
#else
                        const int16x8_t q = vmlal_high_s8(vmull_s8(vget_low_s8(x[v]), vget_low_s8(y)), x[v], y);
                        sum[r] = vmlal_laneq_s16(sum[r], vget_low_s16(q), s, decltype(v)::value);
                        sum[r] = vmlal_high_laneq_s16(sum[r], q, s, decltype(v)::value);
#endif
                    });
                });
            });
            const float d = half(a[l].d);
            each<(R + 3) / 4>([&](auto g) SKERRY_INLINE {
                acc[g] = vfmaq_f32(acc[g], vmulq_n_f32(vld1q_f32((const float *) b + 4 * g), d), sums_of(sum + 4 * g));
            });
        }
        each<R>([&](auto r) SKERRY_INLINE { p.c[(row + r) * p.ldc + i] = vgetq_lane_f32(acc[r / 4], decltype(r)::value % 4); });
    }
};

// Q4_K by Q8_K. A group of rows of B is packed block by block: the scales of its rows, then for
// each of them eight sums of 32 values, and the values.
struct q4_k {
    typedef block_q4_K block;
    static constexpr int    each_row = 16 + QK_K;
    static constexpr size_t step(int r) { return (size_t) (most * 4 + r * each_row); }
    static constexpr int    rows(int) { return 1; }

    template <int R> static void pack(const product & p, int64_t row, char * to) {
        for (int64_t l = 0; l < p.nb; l++, to += step(R)) {
            memset(to, 0, most * 4);
            for (int r = 0; r < R; r++) {
                const block_q8_K & y = ((const block_q8_K *) (p.b + (row + r) * p.ldb))[l];
                ((float *) to)[r] = y.d;
                char * at = to + most * 4 + r * each_row;
                vst1q_s16((int16_t *) at, vpaddq_s16(vld1q_s16(y.bsums), vld1q_s16(y.bsums + 8)));
                memcpy(at + 16, y.qs, QK_K);
            }
        }
    }

    template <int M, int R> static void dot(const product & p, int64_t row, int64_t i, const char * b) {
        const block * a = (const block *) (p.a + i * p.lda);
        float32x4_t acc[2] = { vdupq_n_f32(0), vdupq_n_f32(0) };
        for (int64_t l = 0; l < p.nb; l++, b += step(R)) {
            for (int at = 0; at < (int) sizeof(block); at += 64) __builtin_prefetch((const char *) (a + l) + ahead + at);
            uint32_t u[3];
            memcpy(u, a[l].scales, 12);
            const uint32_t c = (u[2] & 0x0f0f0f0f) | (u[0] >> 6 & 0x03030303) << 4, e = (u[2] >> 4 & 0x0f0f0f0f) | (u[1] >> 6 & 0x03030303) << 4;
            const int16x8_t scales = vreinterpretq_s16_u16(vmovl_u8(vcreate_u8((uint64_t) c << 32 | (u[0] & 0x3f3f3f3f))));
            const int16x8_t mins = vreinterpretq_s16_u16(vmovl_u8(vcreate_u8((uint64_t) e << 32 | (u[1] & 0x3f3f3f3f))));
            int32x4_t sum[most], less[most];
            each<most>([&](auto r) SKERRY_INLINE { sum[r] = less[r] = vdupq_n_s32(0); });
            each<4>([&](auto g) SKERRY_INLINE {  // 64 values, of which the second half lies in the high bits
                const uint8x16_t v = vld1q_u8(a[l].qs + 32 * g), w = vld1q_u8(a[l].qs + 32 * g + 16);
                const uint8x16_t x[4] = { vandq_u8(v, vdupq_n_u8(15)), vandq_u8(w, vdupq_n_u8(15)), vshrq_n_u8(v, 4), vshrq_n_u8(w, 4) };
                each<R>([&](auto r) SKERRY_INLINE {
                    const int8_t * z = (const int8_t *) b + most * 4 + r * each_row + 16 + 64 * g;
                    each<2>([&](auto h) SKERRY_INLINE {
                        constexpr int lane = 2 * decltype(g)::value + decltype(h)::value;
                        const int8x16_t q[2] = { vreinterpretq_s8_u8(x[2 * h]), vreinterpretq_s8_u8(x[2 * h + 1]) };
                        const int8x16_t y[2] = { vld1q_s8(z + 32 * h), vld1q_s8(z + 32 * h + 16) };
#ifdef __ARM_FEATURE_DOTPROD
                        const int32x4_t all = vdotq_s32(vdotq_s32(vdupq_n_s32(0), q[0], y[0]), q[1], y[1]);
                        sum[r] = vmlaq_n_s32(sum[r], all, vgetq_lane_s16(scales, lane));
#else
                        // Four products fit in 16 bits.
                        int16x8_t all = vmlal_high_s8(vmull_s8(vget_low_s8(q[0]), vget_low_s8(y[0])), q[0], y[0]);
                        all = vmlal_high_s8(vmlal_s8(all, vget_low_s8(q[1]), vget_low_s8(y[1])), q[1], y[1]);
                        sum[r] = vmlal_high_laneq_s16(vmlal_laneq_s16(sum[r], vget_low_s16(all), scales, lane), all, scales, lane);
#endif
                    });
                });
            });
            each<R>([&](auto r) SKERRY_INLINE {
                const int16x8_t z = vld1q_s16((const int16_t *) (b + most * 4 + r * each_row));
                less[r] = vmlal_high_s16(vmull_s16(vget_low_s16(z), vget_low_s16(mins)), z, mins);
            });
            const float d = half(a[l].d), dmin = half(a[l].dmin);
            each<(R + 3) / 4>([&](auto g) SKERRY_INLINE {
                const float32x4_t f = vld1q_f32((const float *) b + 4 * g);
                acc[g] = vfmsq_f32(acc[g], vmulq_n_f32(f, dmin), sums_of(less + 4 * g));
                acc[g] = vfmaq_f32(acc[g], vmulq_n_f32(f, d), sums_of(sum + 4 * g));
            });
        }
        each<R>([&](auto r) SKERRY_INLINE { p.c[(row + r) * p.ldc + i] = vgetq_lane_f32(acc[r / 4], decltype(r)::value % 4); });
    }
};

} // namespace

#endif
