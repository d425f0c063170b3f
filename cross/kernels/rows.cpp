// Matrix products of a few rows at a time, as drafts are verified and conversations are
// computed together: what is read of the weights is unpacked once for up to eight rows.
// ggml's kernels take types that are not repacked row by row, or in tiles that for two
// rows take longer than twice one row.
//
// A row comes to the same bits as from ggml's dot product of one row: the products of
// integers are exact however they are made, and what is added in float32 is added in the
// same lanes and order. Elsewhere than on AVX2 ggml's kernels compute.
#include "ggml-cpu-impl.h"
#include "ggml-quants.h"
#include "each.h"
#include "llamafile/sgemm.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

// ggml's own, under the name that CMakeLists.txt gives it, for all other types.
extern "C" bool skerry_sgemm_by_tile(const ggml_compute_params * params, int64_t m, int64_t n, int64_t k,
    const void * A, int64_t lda, const void * B, int64_t ldb, void * C, int64_t ldc, int Atype, int Btype, int Ctype);

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>

namespace {

constexpr int     most  = 8;            // rows of B that are taken together
constexpr int64_t ahead = 4096;         // bytes of A that are fetched before they are read
constexpr size_t  room  = 1 << 20;      // bytes, about, that a thread keeps for packed rows of B
constexpr int64_t share = 128 * 1024;   // bytes of A, about, that go past the rows of B at a time

// What a thread computes: rows of A from lo to hi with all rows of B.
struct product {
    const char * a, * b;
    float *      c;
    int64_t      nb, lda, ldb, ldc;  // blocks of a row, bytes from row to row, values of a row of C
    int64_t      lo, hi, n;
};

inline float half(ggml_half h) { return _cvtsh_ss(h); }

// sum_of adds in the order of ggml's hsum_float_8.
inline float sum_of(__m256 x) {
    __m128 r = _mm_add_ps(_mm256_extractf128_ps(x, 1), _mm256_castps256_ps128(x));
    r = _mm_add_ps(r, _mm_movehl_ps(r, r));
    return _mm_cvtss_f32(_mm_add_ss(r, _mm_movehdup_ps(r)));
}

char * scratch(size_t n) {
    static thread_local std::vector<char> buf;
    if (buf.size() < n + 64) buf.resize(n + 64);
    return (char *) (((uintptr_t) buf.data() + 63) & ~(uintptr_t) 63);
}

#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
// Q8_0 by pairs of rows of B, one in each half of a vector. A group is packed block by
// block: the scales of its rows, then for each pair the values and what takes back the 128
// that is added to those of A, since they are multiplied without a sign.
struct q8_0 {
    typedef block_q8_0 block;
    static constexpr int    pairs(int r) { return (r + 1) / 2; }
    static constexpr size_t step(int r) { return (size_t) (most * 4 + pairs(r) * 128); }
    static constexpr int    rows(int r) { return r <= 4 ? 4 : 2; }

    template <int R> static void pack(const product & p, int64_t row, char * to) {
        for (int64_t l = 0; l < p.nb; l++, to += step(R)) {
            for (int r = 0; r < 2 * pairs(R); r++) {
                const block & y = ((const block *) (p.b + (row + std::min(r, R - 1)) * p.ldb))[l];
                ((float *) to)[r] = half(y.d);
                const __m256i v = _mm256_loadu_si256((const __m256i *) y.qs);
                const __m256i back = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8((char) 128), v);
                __m256i * at = (__m256i *) (to + most * 4 + r / 2 * 128) + r % 2;
                _mm256_storeu_si256(at, v);
                _mm256_storeu_si256(at + 2, _mm256_sub_epi32(_mm256_setzero_si256(), back));
            }
        }
    }

    template <int M, int R> static void dot(const product & p, int64_t row, int64_t i, const char * b) {
        constexpr int P = pairs(R);
        const block * a[M];
        for (int m = 0; m < M; m++) a[m] = (const block *) (p.a + (i + m) * p.lda);
        __m512 acc[M][P];
        each<M>([&](auto m) SKERRY_INLINE { each<P>([&](auto r) SKERRY_INLINE { acc[m][r] = _mm512_setzero_ps(); }); });
        const __m512i sign = _mm512_set1_epi8((char) 128);
        const __m512i first = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
        for (int64_t l = 0; l < p.nb; l++, b += step(R)) {
            __m512i x[M];
            __m512  d[M];
            each<M>([&](auto m) SKERRY_INLINE {
                // Rows beside one another in a page are no streams that a processor would see.
                __builtin_prefetch((const char *) a[0] + (l * M + m) * (int64_t) sizeof(block) + ahead);
                x[m] = _mm512_xor_si512(_mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *) a[m][l].qs)), sign);
                d[m] = _mm512_castps256_ps512(_mm256_mul_ps(_mm256_set1_ps(half(a[m][l].d)), _mm256_loadu_ps((const float *) b)));
            });
            each<P>([&](auto r) SKERRY_INLINE {
                const __m512i y = _mm512_loadu_si512(b + most * 4 + r * 128);
                const __m512i at = _mm512_add_epi32(first, _mm512_set1_epi32(2 * r));
                each<M>([&](auto m) SKERRY_INLINE {
                    const __m512i q = _mm512_dpbusd_epi32(_mm512_loadu_si512(b + most * 4 + r * 128 + 64), x[m], y);
                    acc[m][r] = _mm512_fmadd_ps(_mm512_permutexvar_ps(at, d[m]), _mm512_cvtepi32_ps(q), acc[m][r]);
                });
            });
        }
        each<M>([&](auto m) SKERRY_INLINE {
            each<R>([&](auto r) SKERRY_INLINE {
                const __m512 v = acc[m][r / 2];
                p.c[(row + r) * p.ldc + i + m] = sum_of(r % 2 ? _mm512_extractf32x8_ps(v, 1) : _mm512_castps512_ps256(v));
            });
        });
    }
};
#else
// Q8_0. A group of rows of B is packed block by block: the scales of its rows, then the
// values of each.
struct q8_0 {
    typedef block_q8_0 block;
    static constexpr size_t step(int r) { return (size_t) (most * 4 + r * 32); }
    static constexpr int    rows(int r) { return r <= 2 ? 4 : r <= 4 ? 2 : 1; }

    template <int R> static void pack(const product & p, int64_t row, char * to) {
        for (int64_t l = 0; l < p.nb; l++, to += step(R)) {
            for (int r = 0; r < R; r++) {
                const block & y = ((const block *) (p.b + (row + r) * p.ldb))[l];
                ((float *) to)[r] = half(y.d);
                memcpy(to + most * 4 + r * 32, y.qs, 32);
            }
        }
    }

    template <int M, int R> static void dot(const product & p, int64_t row, int64_t i, const char * b) {
        const block * a[M];
        for (int m = 0; m < M; m++) a[m] = (const block *) (p.a + (i + m) * p.lda);
        __m256 acc[M][R];
        each<M>([&](auto m) SKERRY_INLINE { each<R>([&](auto r) SKERRY_INLINE { acc[m][r] = _mm256_setzero_ps(); }); });
        for (int64_t l = 0; l < p.nb; l++, b += step(R)) {
            __m256i x[M];
            float   d[M];
            each<M>([&](auto m) SKERRY_INLINE {
                __builtin_prefetch((const char *) a[0] + (l * M + m) * (int64_t) sizeof(block) + ahead);
                x[m] = _mm256_loadu_si256((const __m256i *) a[m][l].qs);
                d[m] = half(a[m][l].d);
            });
            each<R>([&](auto r) SKERRY_INLINE {
                const __m256i y = _mm256_loadu_si256((const __m256i *) (b + most * 4 + r * 32));
                const float e = ((const float *) b)[r];
                each<M>([&](auto m) SKERRY_INLINE {
                    const __m256i q = _mm256_madd_epi16(_mm256_set1_epi16(1),
                        _mm256_maddubs_epi16(_mm256_sign_epi8(x[m], x[m]), _mm256_sign_epi8(y, x[m])));
                    acc[m][r] = _mm256_fmadd_ps(_mm256_set1_ps(d[m] * e), _mm256_cvtepi32_ps(q), acc[m][r]);
                });
            });
        }
        each<M>([&](auto m) SKERRY_INLINE { each<R>([&](auto r) SKERRY_INLINE { p.c[(row + r) * p.ldc + i + m] = sum_of(acc[m][r]); }); });
    }
};
#endif

#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
SKERRY_INLINE inline __m512i twice(const uint8_t * p) { return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *) p)); }

// unpack makes the values of a block of Q6_K, without the 32 that is to be taken from each,
// and for each of them its scale, both twice.
SKERRY_INLINE inline void unpack(const block_q6_K & w, __m512i (&x)[8], __m512i (&s)[8]) {
    const __m512i low = _mm512_set1_epi8(15), high = _mm512_set1_epi8(48);
    each<2>([&](auto h) SKERRY_INLINE {
        const __m512i u = twice(w.ql + 64 * h), v = twice(w.ql + 64 * h + 32), t = twice(w.qh + 32 * h);
        x[4 * h]     = _mm512_or_si512(_mm512_and_si512(u, low), _mm512_and_si512(_mm512_slli_epi16(t, 4), high));
        x[4 * h + 1] = _mm512_or_si512(_mm512_and_si512(v, low), _mm512_and_si512(_mm512_slli_epi16(t, 2), high));
        x[4 * h + 2] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(u, 4), low), _mm512_and_si512(t, high));
        x[4 * h + 3] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(v, 4), low), _mm512_and_si512(_mm512_srli_epi16(t, 2), high));
    });
    const __m256i scales = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *) w.scales));
    const __m256i pair = _mm256_set_epi64x(0x0101010101010101, 0, 0x0101010101010101, 0);
    each<8>([&](auto v) SKERRY_INLINE {  // a scale has sixteen values
        s[v] = _mm512_cvtepi8_epi16(_mm256_shuffle_epi8(scales, _mm256_add_epi8(pair, _mm256_set1_epi8(2 * v))));
    });
}

// Q6_K by pairs of rows of Q8_K, one in each half of a vector. A group is packed block by
// block: the scales of its rows, then for each pair the values and 32 times the sums of
// two and two of them.
struct q6_k {
    typedef block_q6_K block;
    static constexpr int    pairs(int r) { return (r + 1) / 2; }
    static constexpr size_t step(int r) { return (size_t) (most * 4 + pairs(r) * 1024); }
    static constexpr int    rows(int) { return 1; }

    template <int R> static void pack(const product & p, int64_t row, char * to) {
        for (int64_t l = 0; l < p.nb; l++, to += step(R)) {
            for (int r = 0; r < 2 * pairs(R); r++) {
                const block_q8_K & y = ((const block_q8_K *) (p.b + (row + std::min(r, R - 1)) * p.ldb))[l];
                ((float *) to)[r] = y.d;
                for (int v = 0; v < 8; v++) {
                    const __m256i q = _mm256_loadu_si256((const __m256i *) y.qs + v);
                    __m256i * at = (__m256i *) (to + most * 4 + r / 2 * 1024 + v * 128) + r % 2;
                    _mm256_storeu_si256(at, q);
                    _mm256_storeu_si256(at + 2, _mm256_maddubs_epi16(_mm256_set1_epi8(32), q));
                }
            }
        }
    }

    template <int M, int R> static void dot(const product & p, int64_t row, int64_t i, const char * b) {
        constexpr int P = pairs(R);
        const block * a = (const block *) (p.a + i * p.lda);
        __m512 acc[P];
        each<P>([&](auto r) SKERRY_INLINE { acc[r] = _mm512_setzero_ps(); });
        const __m512i first = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
        for (int64_t l = 0; l < p.nb; l++, b += step(R)) {
            for (int at = 0; at < (int) sizeof(block); at += 64) __builtin_prefetch((const char *) (a + l) + ahead + at);
            __m512i x[8], s[8];
            unpack(a[l], x, s);
            const __m512 d = _mm512_castps256_ps512(_mm256_mul_ps(_mm256_loadu_ps((const float *) b), _mm256_set1_ps(half(a[l].d))));
            __m512i sum[P];
            each<P>([&](auto r) SKERRY_INLINE { sum[r] = _mm512_setzero_si512(); });
            each<8>([&](auto v) SKERRY_INLINE {
                each<P>([&](auto r) SKERRY_INLINE {
                    const char * y = b + most * 4 + r * 1024 + v * 128;
                    const __m512i q = _mm512_sub_epi16(_mm512_maddubs_epi16(x[v], _mm512_loadu_si512(y)), _mm512_loadu_si512(y + 64));
                    sum[r] = _mm512_dpwssd_epi32(sum[r], s[v], q);
                });
            });
            each<P>([&](auto r) SKERRY_INLINE {
                const __m512i at = _mm512_add_epi32(first, _mm512_set1_epi32(2 * r));
                acc[r] = _mm512_fmadd_ps(_mm512_permutexvar_ps(at, d), _mm512_cvtepi32_ps(sum[r]), acc[r]);
            });
        }
        each<R>([&](auto r) SKERRY_INLINE {
            const __m512 v = acc[r / 2];
            p.c[(row + r) * p.ldc + i] = sum_of(r % 2 ? _mm512_extractf32x8_ps(v, 1) : _mm512_castps512_ps256(v));
        });
    }
};
#else
// unpack makes the values of a block of Q6_K, without the 32 that is to be taken from each,
// and for each of them its scale.
SKERRY_INLINE inline void unpack(const block_q6_K & w, __m256i (&x)[8], __m256i (&s)[8]) {
    const __m256i low = _mm256_set1_epi8(15), high = _mm256_set1_epi8(48);
    each<2>([&](auto h) SKERRY_INLINE {
        const __m256i u = _mm256_loadu_si256((const __m256i *) w.ql + 2 * h), v = _mm256_loadu_si256((const __m256i *) w.ql + 2 * h + 1);
        const __m256i t = _mm256_loadu_si256((const __m256i *) w.qh + h);
        x[4 * h]     = _mm256_or_si256(_mm256_and_si256(u, low), _mm256_and_si256(_mm256_slli_epi16(t, 4), high));
        x[4 * h + 1] = _mm256_or_si256(_mm256_and_si256(v, low), _mm256_and_si256(_mm256_slli_epi16(t, 2), high));
        x[4 * h + 2] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(u, 4), low), _mm256_and_si256(t, high));
        x[4 * h + 3] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(v, 4), low), _mm256_and_si256(_mm256_srli_epi16(t, 2), high));
    });
    const __m128i scales = _mm_loadu_si128((const __m128i *) w.scales), pair = _mm_set_epi64x(0x0101010101010101, 0);
    each<8>([&](auto v) SKERRY_INLINE {  // a scale has sixteen values
        s[v] = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(scales, _mm_add_epi8(pair, _mm_set1_epi8(2 * v))));
    });
}

// Q6_K by Q8_K. A group of rows of B is packed block by block: the scales of its rows,
// then for each row the values and 32 times the sums of their pairs.
struct q6_k {
    typedef block_q6_K block;
    static constexpr size_t step(int r) { return (size_t) (most * 4 + r * 512); }
    static constexpr int rows(int) { return 1; }

    template <int R> static void pack(const product & p, int64_t row, char * to) {
        for (int64_t l = 0; l < p.nb; l++, to += step(R)) {
            for (int r = 0; r < R; r++) {
                const block_q8_K & y = ((const block_q8_K *) (p.b + (row + r) * p.ldb))[l];
                ((float *) to)[r] = y.d;
                for (int v = 0; v < 8; v++) {
                    const __m256i q = _mm256_loadu_si256((const __m256i *) y.qs + v);
                    __m256i * at = (__m256i *) (to + most * 4 + r * 512 + v * 64);
                    _mm256_storeu_si256(at, q);
                    _mm256_storeu_si256(at + 1, _mm256_maddubs_epi16(_mm256_set1_epi8(32), q));
                }
            }
        }
    }

    template <int M, int R> static void dot(const product & p, int64_t row, int64_t i, const char * b) {
        const block * a = (const block *) (p.a + i * p.lda);
        __m256 acc[R];
        each<R>([&](auto r) SKERRY_INLINE { acc[r] = _mm256_setzero_ps(); });
        for (int64_t l = 0; l < p.nb; l++, b += step(R)) {
            __m256i x[8], s[8];
            unpack(a[l], x, s);
            const float d = half(a[l].d);
            each<R>([&](auto r) SKERRY_INLINE {
                const __m256i * y = (const __m256i *) (b + most * 4 + r * 512);
                __m256i sum = _mm256_setzero_si256();
                each<8>([&](auto v) SKERRY_INLINE {
                    const __m256i q = _mm256_sub_epi16(_mm256_maddubs_epi16(x[v], _mm256_loadu_si256(y + 2 * v)), _mm256_loadu_si256(y + 2 * v + 1));
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(s[v], q));
                });
                acc[r] = _mm256_fmadd_ps(_mm256_set1_ps(((const float *) b)[r] * d), _mm256_cvtepi32_ps(sum), acc[r]);
            });
        }
        each<R>([&](auto r) SKERRY_INLINE { p.c[(row + r) * p.ldc + i] = sum_of(acc[r]); });
    }
};
#endif

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
    const size_t  size = (size_t) p.nb * T::step(most);
    const int64_t fit = most * std::max<int64_t>(1, (int64_t) (room / size)), rows = std::max<int64_t>(4, share / p.lda / 4 * 4);
    char * packed = scratch((size_t) std::min<int64_t>(fit / most, (p.n + most - 1) / most) * size);
    for (int64_t from = 0; from < p.n; from += fit) {
        const int64_t to = std::min(p.n, from + fit);
        auto each_group = [&](auto f) { for (int64_t g = from; g < to; g += most) f(g, (int) std::min<int64_t>(most, to - g), packed + (g - from) / most * size); };
        each_group([&](int64_t row, int r, char * b) { pack<T>(p, row, r, b); });
        for (int64_t lo = p.lo; lo < p.hi; lo += rows) {
            each_group([&](int64_t row, int r, char * b) { part<T>(p, row, r, lo, std::min(p.hi, lo + rows), b); });
        }
    }
}

} // namespace
#endif

extern "C" bool llamafile_sgemm(const ggml_compute_params * params, int64_t m, int64_t n, int64_t k,
    const void * A, int64_t lda, const void * B, int64_t ldb, void * C, int64_t ldc, int Atype, int Btype, int Ctype) {
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    const int64_t many = n;
#else
    const int64_t many = most;  // ggml's tiles are as fast there for more
#endif
    const bool q8 = Atype == GGML_TYPE_Q8_0 && Btype == GGML_TYPE_Q8_0 && n <= many, q6 = Atype == GGML_TYPE_Q6_K && Btype == GGML_TYPE_Q8_K;
    if (n > 1 && Ctype == GGML_TYPE_F32 && (q8 || q6)) {
        const int64_t each = (m + params->nth - 1) / params->nth;
        product p = { (const char *) A, (const char *) B, (float *) C, k, lda, ldb, ldc, 0, 0, n };
        p.lo = std::min(m, (each + 3) / 4 * 4 * params->ith);
        p.hi = std::min(m, p.lo + (each + 3) / 4 * 4);
        p.lda *= (int64_t) (q8 ? sizeof(block_q8_0) : sizeof(block_q6_K));
        p.ldb *= (int64_t) (q8 ? sizeof(block_q8_0) : sizeof(block_q8_K));
        if (q8) multiply<q8_0>(p);
        else multiply<q6_k>(p);
        return true;
    }
#endif
    return skerry_sgemm_by_tile(params, m, n, k, A, lda, B, ldb, C, ldc, Atype, Btype, Ctype);
}
