// Matrix products with weights as ggml packs them for AMX, by AVX-512 for a few rows (tiles.h) and
// by AMX for sixteen and more (tiles_amx.h). ggml's own kernels take for a few rows as long as for
// sixteen.
#if defined(__AMX_INT8__) && defined(__AVX512VNNI__)
#include "amx/mmq.h"
#include "ggml-cpu-impl.h"
#include "tiles.h"
#include "tiles_amx.h"

#include <algorithm>

#include <sys/mman.h>
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21  // since Linux 5.4; older ones refuse it
#endif

// ggml's own, under the names that CMakeLists.txt gives them, for other types.
void   skerry_amx_mul_mat(const ggml_compute_params * params, ggml_tensor * dst);
size_t skerry_amx_wsize(const ggml_tensor * dst);
size_t skerry_amx_alloc_size(const ggml_tensor * tensor);
void   skerry_amx_convert_weight(ggml_tensor * tensor, const void * data, size_t offset, size_t size);

namespace {

constexpr int    most = 8;          // rows that are taken together without AMX
constexpr size_t near = 1 << 20;  // bytes of rows, about, that stay in a processor's own cache

template <class T> void group(int64_t rows, const char * w, const typename T::row * y, int64_t nb, float * s, int64_t stride) {
    switch (rows) {
        case 1:  T::template group<1>(w, y, nb, s, stride); break;
        case 2:  T::template group<2>(w, y, nb, s, stride); break;
        case 3:  T::template group<3>(w, y, nb, s, stride); break;
        case 4:  T::template group<4>(w, y, nb, s, stride); break;
        case 5:  T::template group<5>(w, y, nb, s, stride); break;
        case 6:  T::template group<6>(w, y, nb, s, stride); break;
        case 7:  T::template group<7>(w, y, nb, s, stride); break;
        default: T::template group<most>(w, y, nb, s, stride);
    }
}

// columns computes sixteen columns of n rows: by sixteen rows with AMX, and what is left without.
template <class T> void columns(const char * w, const typename T::row * y, int64_t nb, int64_t n, float * s, int64_t stride) {
    int64_t r = n / amx::rows * amx::rows;
    if (r > 0) amx::columns<T>(w, y, nb, r, s, stride);
    for (; r < n; r += most) group<T>(n - r, w, y + r * nb, nb, s + r * stride, stride);
}

template <class T> typename T::row * rows_in(void * work) { return (typename T::row *) (((uintptr_t) work + 63) & ~(uintptr_t) 63); }

// multiply quantizes the rows and takes sixteen columns past as many of them as stay near, in parts
// that threads take as they come.
template <class T> void multiply(const ggml_compute_params * params, ggml_tensor * op) {
    const ggml_tensor * a = op->src[0], * b = op->src[1];
    const int64_t n = b->ne[1], nb = a->ne[0] / T::values;
    typename T::row * y = rows_in<T>(params->wdata);
    for (int64_t r = params->ith; r < n; r += params->nth) {
        T::quantize((const float *) ((const char *) b->data + r * b->nb[1]), y + r * nb, nb);
    }
    const int64_t tiles = a->ne[1] / wide, part = std::max<int64_t>(1, tiles / (params->nth * 8));
    const int64_t some = std::max<int64_t>(1, (int64_t) (near / ((size_t) nb * sizeof *y)) / 32) * 32, stride = op->nb[1] / sizeof(float);
    if (params->ith == 0) ggml_threadpool_chunk_set(params->threadpool, params->nth);
    ggml_barrier(params->threadpool);
    if (n >= amx::rows) amx::begin<T>();
    for (int64_t i = params->ith; i * part < tiles; i = ggml_threadpool_chunk_add(params->threadpool, 1)) {
        for (int64_t r = 0; r < n; r += some) {
            for (int64_t t = i * part; t < std::min(tiles, (i + 1) * part); t++) {
                const char * w = (const char *) a->data + t * nb * T::size;
                columns<T>(w, y + r * nb, nb, std::min(some, n - r), (float *) op->data + r * stride + t * wide, stride);
            }
        }
    }
    if (n >= amx::rows) amx::end();
}

template <class T> size_t room(const ggml_tensor * op) {
    return (size_t) (op->ne[1] * op->src[0]->ne[0] / T::values) * sizeof(typename T::row) + 64;
}

} // namespace

void ggml_backend_amx_mul_mat(const ggml_compute_params * params, ggml_tensor * op) {
    switch (op->src[0]->type) {
        case GGML_TYPE_Q8_0: multiply<tile_q8_0>(params, op); break;
        case GGML_TYPE_Q4_K: multiply<tile_q4_K>(params, op); break;
        case GGML_TYPE_Q6_K: multiply<tile_q6_K>(params, op); break;
        default: skerry_amx_mul_mat(params, op);
    }
}

size_t ggml_backend_amx_desired_wsize(const ggml_tensor * op) {
    const size_t own = skerry_amx_wsize(op);
    switch (op->src[0]->type) {
        case GGML_TYPE_Q8_0: return std::max(own, room<tile_q8_0>(op));
        case GGML_TYPE_Q4_K: return std::max(own, room<tile_q4_K>(op));
        case GGML_TYPE_Q6_K: return std::max(own, room<tile_q6_K>(op));
        default: return own;
    }
}

size_t ggml_backend_amx_get_alloc_size(const ggml_tensor * t) {
    return t->type == GGML_TYPE_Q8_0 ? ggml_nbytes(t) : skerry_amx_alloc_size(t);
}

void ggml_backend_amx_convert_weight(ggml_tensor * t, const void * data, size_t offset, size_t size) {
    if (t->type != GGML_TYPE_Q8_0) {
        skerry_amx_convert_weight(t, data, offset, size);
        return;
    }
    GGML_ASSERT(offset == 0 && size == ggml_nbytes(t));
    const int64_t nb = t->ne[0] / tile_q8_0::values;
    char * to = (char *) t->data;
    const uintptr_t page = 4096, many = 1 << 20;
    uintptr_t from = ((uintptr_t) data + page - 1) & ~(page - 1);
    for (int64_t c = 0; c < t->ne[1]; c += wide) {
        const block_q8_0 * x = (const block_q8_0 *) data + c * nb;
        for (int64_t b = 0; b < nb; b++, to += tile_q8_0::size) tile_q8_0::pack(x, nb, b, to);
        // What has been packed of a mapped file need not stay in memory beside its copy. This only
        // advises: nothing is lost of memory that is no file's.
        const uintptr_t done = (uintptr_t) (x + wide * nb) & ~(page - 1);
        if (done >= from + many) {
            madvise((void *) from, done - from, MADV_PAGEOUT);
            from = done;
        }
    }
}

#endif
