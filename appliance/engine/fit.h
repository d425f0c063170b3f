// Dense float32 algebra for fitting exit heads, on the kernels and threads that
// compute stages.
#ifndef SKERRY_FIT_H
#define SKERRY_FIT_H

#include <stdbool.h>
#include <stdint.h>

struct skerry_fitter;
struct skerry_fitter * skerry_fitter_new(int threads);
void skerry_fitter_free(struct skerry_fitter * f);

// skerry_fitter_mul computes out[m][n] = a[m][k] · b[n][k]ᵀ. Returns 0, or less
// where memory runs out.
int skerry_fitter_mul(struct skerry_fitter * f, int m, int n, int k, const float * a, const float * b, float * out);

// skerry_fitter_lm keeps an LM head rows[n][dim] for skerry_fitter_step.
int skerry_fitter_lm(struct skerry_fitter * f, int n, int dim, const float * rows);

// skerry_fitter_step gives, for n rows of x and y [n][dim], the gradient of the
// mean KL divergence from softmax(LM·y) to softmax(LM·(T·x+b)) with respect to T
// (grad [dim][dim]) and, by row, to T·x+b (grad_z [n][dim], not yet divided by n).
// The divergence itself goes to loss unless it is NULL.
int skerry_fitter_step(struct skerry_fitter * f, int n, const float * x, const float * y,
	const float * t, const float * b, float * grad, float * grad_z, float * loss);

#endif
