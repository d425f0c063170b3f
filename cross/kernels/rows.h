// What the kernels of rows.cpp compute.
#ifndef SKERRY_ROWS_H
#define SKERRY_ROWS_H

#include <cstdint>

namespace {

constexpr int     most  = 8;     // rows of B that are taken together
template <class T> constexpr int together = most;  // as many of kernels T
constexpr int64_t ahead = 4096;  // bytes of A that are fetched before they are read

// What a thread computes: rows of A from lo to hi with all rows of B.
struct product {
    const char * a, * b;
    float *      c;
    int64_t      nb, lda, ldb, ldc;  // blocks of a row, bytes from row to row, values of a row of C
    int64_t      lo, hi, n;
};

} // namespace

#endif
