// Matrix products of a few rows at a time, as drafts are verified and conversations are
// computed together, and of one row, as tokens are said: what is read of the weights is fetched
// ahead and unpacked once for up to eight rows. ggml's kernels take types that are not repacked
// row by row, or in tiles that for two rows take longer than twice one row.
//
// A row comes to the same bits as from ggml's dot product of one row: the products of
// integers are exact however they are made, and what is added in float32 is added in the
// same lanes and order. On other processors than those below ggml's kernels compute, row by
// row where its tiles round otherwise than one row does.
#include "ggml-cpu-impl.h"
#include "llamafile/sgemm.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

// ggml's own, under the name that CMakeLists.txt gives it, for all other types.
extern "C" bool skerry_sgemm_by_tile(const ggml_compute_params * params, int64_t m, int64_t n, int64_t k,
    const void * A, int64_t lda, const void * B, int64_t ldb, void * C, int64_t ldc, int Atype, int Btype, int Ctype);

// Each of these has q8_0 and q6_k, and that for arm64 q4_0 and q4_k too, which are not repacked
// there without dot products of bytes: how a group of rows of B is packed, and dot products of
// rows of A with them.
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define SKERRY_ROWS
#include "rows_avx512.h"
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define SKERRY_ROWS
#include "rows_avx2.h"
#elif defined(__aarch64__) && defined(__ARM_NEON) && !defined(__ARM_FEATURE_MATMUL_INT8) && !defined(__ARM_FEATURE_SVE)
#define SKERRY_ROWS
#include "rows_neon.h"
#elif defined(__AVX__)
#define SKERRY_NO_TILES  // ggml's tiles save a sixth of the time, and round otherwise than one row does
#endif

#ifdef SKERRY_ROWS
namespace {

constexpr size_t  room  = 1 << 20;     // bytes, about, that a thread keeps for packed rows of B
constexpr int64_t share = 128 * 1024;  // bytes of A, about, that go past the rows of B at a time

char * scratch(size_t n) {
    static thread_local std::vector<char> buf;
    if (buf.size() < n + 64) buf.resize(n + 64);
    return (char *) (((uintptr_t) buf.data() + 63) & ~(uintptr_t) 63);
}

// group computes rows from lo to hi of A with R rows of B, packed at b.
template <class T, int R> void group(const product & p, int64_t row, int64_t lo, int64_t hi, const char * b) {
    constexpr int M = T::rows(R);
    int64_t i = lo;
    for (; i + M <= hi; i += M) T::template dot<M, R>(p, row, i, b);
    for (; i < hi; i++) T::template dot<1, R>(p, row, i, b);
}

template <class T> void pack(const product & p, int64_t row, int r, char * to) {
    switch (r) {
        case 1:  T::template pack<1>(p, row, to); break;
        case 2:  T::template pack<2>(p, row, to); break;
        case 3:  T::template pack<3>(p, row, to); break;
        case 4:  T::template pack<4>(p, row, to); break;
        case 5:  T::template pack<5>(p, row, to); break;
        case 6:  T::template pack<6>(p, row, to); break;
        case 7:  T::template pack<7>(p, row, to); break;
        default: T::template pack<8>(p, row, to);
    }
}

template <class T> void part(const product & p, int64_t row, int r, int64_t lo, int64_t hi, const char * b) {
    switch (r) {
        case 1:  group<T, 1>(p, row, lo, hi, b); break;
        case 2:  group<T, 2>(p, row, lo, hi, b); break;
        case 3:  group<T, 3>(p, row, lo, hi, b); break;
        case 4:  group<T, 4>(p, row, lo, hi, b); break;
        case 5:  group<T, 5>(p, row, lo, hi, b); break;
        case 6:  group<T, 6>(p, row, lo, hi, b); break;
        case 7:  group<T, 7>(p, row, lo, hi, b); break;
        default: group<T, 8>(p, row, lo, hi, b);
    }
}

// multiply packs as many groups of rows of B as it has room for and takes a share of A
// past each of them.
template <class T> void multiply(const product & p) {
    constexpr int group = together<T>;
    const size_t  size = (size_t) p.nb * T::step(group);
    const int64_t fit = group * std::max<int64_t>(1, (int64_t) (room / size)), rows = std::max<int64_t>(4, share / p.lda / 4 * 4);
    char * packed = scratch((size_t) std::min<int64_t>(fit / group, (p.n + group - 1) / group) * size);
    for (int64_t from = 0; from < p.n; from += fit) {
        const int64_t to = std::min(p.n, from + fit);
        auto in_groups = [&](auto f) { for (int64_t g = from; g < to; g += group) f(g, (int) std::min<int64_t>(group, to - g), packed + (g - from) / group * size); };
        in_groups([&](int64_t row, int r, char * b) { pack<T>(p, row, r, b); });
        for (int64_t lo = p.lo; lo < p.hi; lo += rows) {
            in_groups([&](int64_t row, int r, char * b) { part<T>(p, row, r, lo, std::min(p.hi, lo + rows), b); });
        }
    }
}

// take computes this thread's share of a product whose row of A, as that of B, has k blocks.
template <class T, class Row> bool take(const ggml_compute_params * params, product p, int64_t m) {
    const int64_t each = ((m + params->nth - 1) / params->nth + 3) / 4 * 4;
    p.lo = std::min(m, each * params->ith);
    p.hi = std::min(m, p.lo + each);
    p.lda *= (int64_t) sizeof(typename T::block);
    p.ldb *= (int64_t) sizeof(Row);
    multiply<T>(p);
    return true;
}

} // namespace
#endif

extern "C" bool llamafile_sgemm(const ggml_compute_params * params, int64_t m, int64_t n, int64_t k,
    const void * A, int64_t lda, const void * B, int64_t ldb, void * C, int64_t ldc, int Atype, int Btype, int Ctype) {
#ifdef SKERRY_ROWS
    const product p = { (const char *) A, (const char *) B, (float *) C, k, lda, ldb, ldc, 0, 0, n };
    const bool rows = n > 0 && Ctype == GGML_TYPE_F32;
    if (rows && Btype == GGML_TYPE_Q8_0 && q8_0::takes(n, k)) {
        if (Atype == GGML_TYPE_Q8_0) return take<q8_0, block_q8_0>(params, p, m);
#ifdef SKERRY_ROWS_Q4
        if (Atype == GGML_TYPE_Q4_0) return take<q4_0, block_q8_0>(params, p, m);
#endif
    }
    if (rows && Btype == GGML_TYPE_Q8_K) {
        if (Atype == GGML_TYPE_Q6_K) return take<q6_k, block_q8_K>(params, p, m);
#ifdef SKERRY_ROWS_Q4
        if (Atype == GGML_TYPE_Q4_K) return take<q4_k, block_q8_K>(params, p, m);
#endif
    }
#endif
#ifdef SKERRY_NO_TILES
    if (Btype == GGML_TYPE_Q8_0) return false;  // row by row
#endif
    return skerry_sgemm_by_tile(params, m, n, k, A, lda, B, ldb, C, ldc, Atype, Btype, Ctype);
}
