// Kernels of columns.cpp for arm64 with dot products of bytes: four columns lie in a vector,
// with four bytes of each of them.
#ifndef SKERRY_COLUMNS_NEON_H
#define SKERRY_COLUMNS_NEON_H

#include <arm_neon.h>

namespace {

inline float32x4_t halves(const ggml_half * p) { return vcvt_f32_f16(vld1_f16((const __fp16 *) p)); }

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
        for (int64_t b = 0; b < n / values; b++) vst1q_s16(z[b].bsums, vpaddq_s16(vld1q_s16(z[b].bsums), vld1q_s16(z[b].bsums + 8)));
    }

    // The scales of 64 values of eight columns, in each half; what is taken from them goes to min.
    struct scales {
        int32x4_t by[2][2];
        scales(const uint8_t * p, int16x8_t * min) {
            for (int h = 0; h < 2; h++, p += 12) {
                uint32_t u[3];
                memcpy(u, p, 12);
                const uint32_t a = (u[2] & 0x0f0f0f0f) | (u[0] >> 6 & 0x03030303) << 4, c = (u[2] >> 4 & 0x0f0f0f0f) | (u[1] >> 6 & 0x03030303) << 4;
                const int16x8_t s = widen((uint64_t) a << 32 | (u[0] & 0x3f3f3f3f));
                by[h][0] = vmovl_s16(vget_low_s16(s));
                by[h][1] = vmovl_high_s16(s);
                min[h] = widen((uint64_t) c << 32 | (u[1] & 0x3f3f3f3f));
            }
        }
        static int16x8_t widen(uint64_t v) { return vreinterpretq_s16_u16(vmovl_u8(vcreate_u8(v))); }
    };

    // some adds 64 values of eight columns by N rows, which are stride apart, to acc.
    template <int N> SKERRY_INLINE static void some(const uint8_t * q, const scales & s, const float32x4_t (&d)[2], const row * y, int64_t stride,
                                                    int g, float32x4_t (*acc)[2]) {
        int32x4_t sum[N][2][2];
        each<N>([&](auto r) SKERRY_INLINE { sum[r][0][0] = sum[r][0][1] = sum[r][1][0] = sum[r][1][1] = vdupq_n_s32(0); });
        each<2>([&](auto j) SKERRY_INLINE {
            int8x16_t e[N][2];
            each<N>([&](auto r) SKERRY_INLINE {
                const int8_t * z = y[r * stride].qs + g * 64 + j * 16;
                e[r][0] = vld1q_s8(z);
                e[r][1] = vld1q_s8(z + 32);
            });
            each<4>([&](auto i) SKERRY_INLINE {
                each<2>([&](auto c) SKERRY_INLINE {
                    const uint8x16_t v = vld1q_u8(q + (4 * j + i) * 32 + c * 16);
                    const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15))), high = vreinterpretq_s8_u8(vshrq_n_u8(v, 4));
                    each<N>([&](auto r) SKERRY_INLINE {
                        sum[r][0][c] = vdotq_laneq_s32(sum[r][0][c], low, e[r][0], decltype(i)::value);
                        sum[r][1][c] = vdotq_laneq_s32(sum[r][1][c], high, e[r][1], decltype(i)::value);
                    });
                });
            });
        });
        each<N>([&](auto r) SKERRY_INLINE {
            each<2>([&](auto c) SKERRY_INLINE {
                const int32x4_t all = vmlaq_s32(vmulq_s32(s.by[0][c], sum[r][0][c]), s.by[1][c], sum[r][1][c]);
                acc[r][c] = vfmaq_f32(acc[r][c], vmulq_n_f32(d[c], y[r * stride].d), vcvtq_f32_s32(all));
            });
        });
    }

    // group computes eight columns of R rows of nb blocks, to s, whose rows are stride apart.
    template <int R> static void group(const block * x, const row * y, int64_t nb, float * s, int64_t stride) {
        float32x4_t acc[R][2];
        each<R>([&](auto r) SKERRY_INLINE { acc[r][0] = acc[r][1] = vdupq_n_f32(0); });
        for (int64_t b = 0; b < nb; b++) {
            const block & w = x[b];
            const float32x4_t d[2] = { halves(w.d), halves(w.d + 4) }, dmin[2] = { halves(w.dmin), halves(w.dmin + 4) };
            int16x8_t min[8];
            for (int g = 0; g < 4; g++) {  // 64 values, of which the second half lies in the high bits
                for (int p = 0; p < 288; p += 64) __builtin_prefetch((const char *) &w + 4096 + g * 288 + p);
                const scales by(w.scales + 24 * g, min + 2 * g);
                const row * z = y + b;
                // As many rows at a time as there are registers for.
                each<(R + 3) / 4>([&](auto i) SKERRY_INLINE {
                    some<(R - 4 * i < 4 ? R - 4 * i : 4)>(w.qs + 256 * g, by, d, z + 4 * i * nb, nb, g, acc + 4 * i);
                });
            }
            each<R>([&](auto r) SKERRY_INLINE {
                const row & z = y[r * nb + b];
                const int16x8_t sums = vld1q_s16(z.bsums);
                int32x4_t less[2] = { vdupq_n_s32(0), vdupq_n_s32(0) };
                each<8>([&](auto i) SKERRY_INLINE {
                    less[0] = vmlal_laneq_s16(less[0], vget_low_s16(min[i]), sums, decltype(i)::value);
                    less[1] = vmlal_high_laneq_s16(less[1], min[i], sums, decltype(i)::value);
                });
                each<2>([&](auto c) SKERRY_INLINE { acc[r][c] = vmlsq_f32(acc[r][c], vcvtq_f32_s32(less[c]), vmulq_n_f32(dmin[c], z.d)); });
            });
        }
        each<R>([&](auto r) SKERRY_INLINE {
            vst1q_f32(s + r * stride, acc[r][0]);
            vst1q_f32(s + r * stride + 4, acc[r][1]);
        });
    }
};

// Q4_0 by rows of Q8_0.
struct q4_0 {
    typedef block_q4_0x4 block;
    typedef block_q8_0   row;
    static constexpr int values = QK4_0, columns = 4;
    // ggml's kernels for one row and for four come to the same bits, in fewer instructions.
    static bool takes(int64_t n) { return n > 1 && n < 8 && n % 4 != 0; }

    static void quantize(const float * x, void * y, int64_t n) { quantize_row_q8_0(x, y, n); }

    template <int R> static void group(const block * x, const row * y, int64_t nb, float * s, int64_t stride) {
        float32x4_t acc[R];
        each<R>([&](auto r) SKERRY_INLINE { acc[r] = vdupq_n_f32(0); });
        for (int64_t b = 0; b < nb; b++) {
            const block & w = x[b];
            for (int p = 0; p < 72; p += 64) __builtin_prefetch((const char *) &w + 4096 + p);
            int8x16_t low[4], high[4];  // sixteen times the values
            each<4>([&](auto i) SKERRY_INLINE {
                const int8x16_t v = vld1q_s8((const int8_t *) w.qs + 16 * i);
                low[i] = vshlq_n_s8(v, 4);
                high[i] = vandq_s8(v, vdupq_n_s8((int8_t) 0xf0));
            });
            const float32x4_t d = halves(w.d);
            each<R>([&](auto r) SKERRY_INLINE {
                const row & z = y[r * nb + b];
                const int8x16_t e = vld1q_s8(z.qs), f = vld1q_s8(z.qs + 16);
                int32x4_t sum = vdupq_n_s32(0);
                each<4>([&](auto i) SKERRY_INLINE { sum = vdotq_laneq_s32(sum, low[i], e, decltype(i)::value); });
                each<4>([&](auto i) SKERRY_INLINE { sum = vdotq_laneq_s32(sum, high[i], f, decltype(i)::value); });
                const float32x4_t by = vcvt_f32_f16(vld1_dup_f16((const __fp16 *) &z.d));
                acc[r] = vfmaq_f32(acc[r], vcvtq_n_f32_s32(sum, 4), vmulq_f32(by, d));
            });
        }
        each<R>([&](auto r) SKERRY_INLINE { vst1q_f32(s + r * stride, acc[r]); });
    }
};

} // namespace

#endif
