// each calls f with the constants from 0 to N-1. Loops over arrays of vectors that are to
// stay in registers are written with it: a loop that is unrolled later leaves them in
// memory.
#ifndef SKERRY_EACH_H
#define SKERRY_EACH_H

#include <utility>

#define SKERRY_INLINE __attribute__((always_inline))

template <class F, int... I> SKERRY_INLINE inline void each_of(const F & f, std::integer_sequence<int, I...>) {
    (f(std::integral_constant<int, I>()), ...);
}

template <int N, class F> SKERRY_INLINE inline void each(const F & f) { each_of(f, std::make_integer_sequence<int, N>()); }

#endif
