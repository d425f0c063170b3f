// Repacked Q4_K and Q4_0 weights, eight columns interleaved, by two rows or more, with the
// instructions that multiply and add bytes in vectors of 512 bits. ggml takes rows by fours
// and what is left one by one, each of which reads all of the weights again.
//
// For each column the float32 operations and their order are those of ggml's kernel for one
// row, so that a row comes to the same bits in every batch.
#include "ggml-cpu-impl.h"
#include "each.h"
#include "quants.h"
#include "repack.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

// ggml's own, under the name that CMakeLists.txt gives it, for everything else.
extern "C" bool skerry_extra_compute_forward(ggml_compute_params * params, ggml_tensor * op);

#if defined(__AVX512VNNI__) && defined(__AVX512VL__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#include <immintrin.h>

namespace {

constexpr int most = 8;  // rows that are taken together

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
    static constexpr int values = QK_K;
    static void quantize(const float * x, void * y, int64_t n) { quantize_row_q8_K(x, y, n); }

    // eight computes eight columns of R rows of nb blocks, to s, whose rows are stride apart.
    template <int R> static void eight(const block * x, const row * y, int64_t nb, float * s, int64_t stride) {
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
    static constexpr int values = QK4_0;

    static void quantize(const float * x, void * y, int64_t n) {
        quantize_row_q8_0(x, y, n);
        row * z = (row *) y;
        for (int64_t b = 0; b < n / values; b++) {
            for (int8_t & v : z[b].qs) v = (int8_t) (v ^ 128);
        }
    }

    template <int R> static void eight(const block * x, const row * y, int64_t nb, float * s, int64_t stride) {
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

template <class T> void eight(int64_t rows, const typename T::block * x, const typename T::row * y, int64_t nb, float * s, int64_t stride) {
    switch (rows) {
        case 1:  T::template eight<1>(x, y, nb, s, stride); break;
        case 2:  T::template eight<2>(x, y, nb, s, stride); break;
        case 3:  T::template eight<3>(x, y, nb, s, stride); break;
        case 4:  T::template eight<4>(x, y, nb, s, stride); break;
        case 5:  T::template eight<5>(x, y, nb, s, stride); break;
        case 6:  T::template eight<6>(x, y, nb, s, stride); break;
        case 7:  T::template eight<7>(x, y, nb, s, stride); break;
        default: T::template eight<most>(x, y, nb, s, stride);
    }
}

// multiply quantizes the rows of the second operand and takes eight columns of the first
// past all of them, in parts that threads take as they come.
template <class T> void multiply(const ggml_compute_params * params, ggml_tensor * op) {
    const ggml_tensor * a = op->src[0], * b = op->src[1];
    const int64_t n = b->ne[1], nb = a->ne[0] / T::values;
    typename T::row * y = (typename T::row *) params->wdata;
    for (int64_t r = params->ith; r < n; r += params->nth) {
        T::quantize((const float *) ((const char *) b->data + r * b->nb[1]), y + r * nb, a->ne[0]);
    }
    const int64_t groups = a->ne[1] / 8, part = std::max<int64_t>(1, groups / (params->nth * 8));
    if (params->ith == 0) ggml_threadpool_chunk_set(params->threadpool, params->nth);
    ggml_barrier(params->threadpool);
    for (int64_t i = params->ith; i * part < groups; i = ggml_threadpool_chunk_add(params->threadpool, 1)) {
        for (int64_t g = i * part; g < std::min(groups, (i + 1) * part); g++) {
            const typename T::block * x = (const typename T::block *) a->data + g * nb;
            for (int64_t r = 0; r < n; r += most) {
                eight<T>(n - r, x, y + r * nb, nb, (float *) ((char *) op->data + r * op->nb[1]) + g * 8, op->nb[1] / sizeof(float));
            }
        }
    }
}

// repacked says whether op multiplies repacked weights by rows of float32 that lie in one
// plane, two or more.
bool repacked(const ggml_tensor * op) {
    const ggml_tensor * a = op->src[0], * b = op->src[1];
    return op->op == GGML_OP_MUL_MAT && a->buffer && a->buffer->buft == ggml_backend_cpu_repack_buffer_type()
        && b->type == GGML_TYPE_F32 && b->nb[0] == sizeof(float) && op->type == GGML_TYPE_F32 && op->nb[0] == sizeof(float)
        && b->ne[1] > 1 && b->ne[2] == 1 && b->ne[3] == 1 && a->ne[2] == 1 && a->ne[3] == 1 && a->ne[1] % 8 == 0;
}

} // namespace
#endif

extern "C" bool ggml_cpu_extra_compute_forward(ggml_compute_params * params, ggml_tensor * op) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
    if (repacked(op)) {
        if (op->src[0]->type == GGML_TYPE_Q4_K) {
            multiply<q4_k>(params, op);
            return true;
        }
        if (op->src[0]->type == GGML_TYPE_Q4_0) {
            multiply<q4_0>(params, op);
            return true;
        }
    }
#endif
    return skerry_extra_compute_forward(params, op);
}
