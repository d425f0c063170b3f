// Repacked Q4_K and Q4_0 weights, columns interleaved, by a few rows or one, fetched ahead. ggml
// takes rows by fours and what is left one by one, each of which reads all of the weights again.
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

// Each of these has q4_k and q4_0: whether so many rows are better taken by them, how they are
// quantized, how many columns are interleaved, and the columns of one group by up to eight rows.
#if defined(__AVX512VNNI__) && defined(__AVX512VL__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#define SKERRY_COLUMNS
#include "columns_avx512.h"
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define SKERRY_COLUMNS
#include "columns_avx2.h"
#elif defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD) && !defined(__ARM_FEATURE_MATMUL_INT8)
#define SKERRY_COLUMNS
#include "columns_neon.h"
#endif

#ifdef SKERRY_COLUMNS
namespace {

constexpr int most = 8;  // rows that are taken together

template <class T> void group(int64_t rows, const typename T::block * x, const typename T::row * y, int64_t nb, float * s, int64_t stride) {
    switch (rows) {
        case 1:  T::template group<1>(x, y, nb, s, stride); break;
        case 2:  T::template group<2>(x, y, nb, s, stride); break;
        case 3:  T::template group<3>(x, y, nb, s, stride); break;
        case 4:  T::template group<4>(x, y, nb, s, stride); break;
        case 5:  T::template group<5>(x, y, nb, s, stride); break;
        case 6:  T::template group<6>(x, y, nb, s, stride); break;
        case 7:  T::template group<7>(x, y, nb, s, stride); break;
        default: T::template group<most>(x, y, nb, s, stride);
    }
}

// multiply quantizes the rows of the second operand and takes groups of columns of the first
// past all of them, in parts that threads take as they come.
template <class T> void multiply(const ggml_compute_params * params, ggml_tensor * op) {
    const ggml_tensor * a = op->src[0], * b = op->src[1];
    const int64_t n = b->ne[1], nb = a->ne[0] / T::values;
    typename T::row * y = (typename T::row *) params->wdata;
    for (int64_t r = params->ith; r < n; r += params->nth) {
        T::quantize((const float *) ((const char *) b->data + r * b->nb[1]), y + r * nb, a->ne[0]);
    }
    const int64_t groups = a->ne[1] / T::columns, part = std::max<int64_t>(1, groups / (params->nth * 8));
    if (params->ith == 0) ggml_threadpool_chunk_set(params->threadpool, params->nth);
    ggml_barrier(params->threadpool);
    for (int64_t i = params->ith; i * part < groups; i = ggml_threadpool_chunk_add(params->threadpool, 1)) {
        for (int64_t g = i * part; g < std::min(groups, (i + 1) * part); g++) {
            const typename T::block * x = (const typename T::block *) a->data + g * nb;
            for (int64_t r = 0; r < n; r += most) {
                group<T>(n - r, x, y + r * nb, nb, (float *) ((char *) op->data + r * op->nb[1]) + g * T::columns, op->nb[1] / sizeof(float));
            }
        }
    }
}

// repacked says whether op multiplies repacked weights by rows of float32 that lie in one
// plane.
bool repacked(const ggml_tensor * op) {
    const ggml_tensor * a = op->src[0], * b = op->src[1];
    return op->op == GGML_OP_MUL_MAT && a->buffer && a->buffer->buft == ggml_backend_cpu_repack_buffer_type()
        && b->type == GGML_TYPE_F32 && b->nb[0] == sizeof(float) && op->type == GGML_TYPE_F32 && op->nb[0] == sizeof(float)
        && b->ne[1] > 0 && b->ne[2] == 1 && b->ne[3] == 1 && a->ne[2] == 1 && a->ne[3] == 1;
}

template <class T> bool takes(const ggml_tensor * op) { return op->src[0]->ne[1] % T::columns == 0 && T::takes(op->src[1]->ne[1]); }

} // namespace
#endif

extern "C" bool ggml_cpu_extra_compute_forward(ggml_compute_params * params, ggml_tensor * op) {
#ifdef SKERRY_COLUMNS
    if (repacked(op)) {
        if (op->src[0]->type == GGML_TYPE_Q4_K && takes<q4_k>(op)) {
            multiply<q4_k>(params, op);
            return true;
        }
        if (op->src[0]->type == GGML_TYPE_Q4_0 && takes<q4_0>(op)) {
            multiply<q4_0>(params, op);
            return true;
        }
    }
#endif
    return skerry_extra_compute_forward(params, op);
}
