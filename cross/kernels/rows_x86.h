// What the kernels of rows.cpp for AVX2 and AVX-512 share.
#ifndef SKERRY_ROWS_X86_H
#define SKERRY_ROWS_X86_H

#include "each.h"
#include "ggml-quants.h"
#include "rows.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>

namespace {

inline float half(ggml_half h) { return _cvtsh_ss(h); }

// sum_of adds in the order of ggml's hsum_float_8.
inline float sum_of(__m256 x) {
    __m128 r = _mm_add_ps(_mm256_extractf128_ps(x, 1), _mm256_castps256_ps128(x));
    r = _mm_add_ps(r, _mm_movehl_ps(r, r));
    return _mm_cvtss_f32(_mm_add_ss(r, _mm_movehdup_ps(r)));
}

} // namespace

#endif
