#include "fit.h"
#include "shim_backend.h"
#include <stdlib.h>

struct skerry_fitter {
	ggml_backend_t backend;
	struct ggml_threadpool * pool;
	struct ggml_context * lm_ctx;
	ggml_backend_buffer_t lm_buffer;
	struct ggml_tensor * lm, * lm_t;  // [n][dim] and its transpose [dim][n]
};

struct skerry_fitter * skerry_fitter_new(int threads) {
	struct skerry_fitter * f = calloc(1, sizeof *f);
	if (f) f->backend = skerry_cpu_backend(threads, 0, &f->pool);
	if (f && !f->backend) { skerry_fitter_free(f); return NULL; }
	return f;
}

static void drop_lm(struct skerry_fitter * f) {
	if (f->lm_buffer) ggml_backend_buffer_free(f->lm_buffer);
	if (f->lm_ctx) ggml_free(f->lm_ctx);
	f->lm_buffer = NULL;
	f->lm_ctx = NULL;
}

void skerry_fitter_free(struct skerry_fitter * f) {
	if (!f) return;
	drop_lm(f);
	if (f->backend) ggml_backend_free(f->backend);
	skerry_pool_free(f->pool);
	free(f);
}

// One call's graph: its leaves, filled before it runs, and what follows of them.
struct job {
	struct skerry_fitter * f;
	struct ggml_context * in, * ops;
	ggml_backend_buffer_t buffer;
	ggml_gallocr_t alloc;
	struct ggml_cgraph * graph;
};

enum { MAX_NODES = 32 };

static bool job_open(struct job * j, struct skerry_fitter * f) {
	struct ggml_init_params leaves = { 8 * ggml_tensor_overhead(), NULL, true };
	struct ggml_init_params nodes = { MAX_NODES * ggml_tensor_overhead() + ggml_graph_overhead_custom(MAX_NODES, false), NULL, true };
	*j = (struct job) { .f = f, .in = ggml_init(leaves), .ops = ggml_init(nodes) };
	if (j->ops) j->graph = ggml_new_graph_custom(j->ops, MAX_NODES, false);
	return j->in && j->ops;
}

static bool job_leaves(struct job * j) {
	j->buffer = ggml_backend_alloc_ctx_tensors(j->in, j->f->backend);
	return j->buffer != NULL;
}

static void job_want(struct job * j, struct ggml_tensor * t) {
	ggml_set_output(t);
	ggml_build_forward_expand(j->graph, t);
}

static bool job_run(struct job * j) {
	j->alloc = ggml_gallocr_new(ggml_backend_get_default_buffer_type(j->f->backend));
	return j->alloc && ggml_gallocr_alloc_graph(j->alloc, j->graph)
		&& ggml_backend_graph_compute(j->f->backend, j->graph) == GGML_STATUS_SUCCESS;
}

static void job_close(struct job * j) {
	if (j->alloc) ggml_gallocr_free(j->alloc);
	if (j->buffer) ggml_backend_buffer_free(j->buffer);
	if (j->ops) ggml_free(j->ops);
	if (j->in) ggml_free(j->in);
}

static struct ggml_tensor * leaf(struct job * j, int64_t cols, int64_t rows) { return ggml_new_tensor_2d(j->in, GGML_TYPE_F32, cols, rows); }
static void put(struct ggml_tensor * t, const float * v) { ggml_backend_tensor_set(t, v, 0, ggml_nbytes(t)); }
static void get(const struct ggml_tensor * t, float * v) { ggml_backend_tensor_get(t, v, 0, ggml_nbytes(t)); }

int skerry_fitter_mul(struct skerry_fitter * f, int m, int n, int k, const float * a, const float * b, float * out) {
	struct job j;
	int r = -1;
	if (job_open(&j, f)) {
		struct ggml_tensor * x = leaf(&j, k, m), * y = leaf(&j, k, n);
		if (job_leaves(&j)) {
			put(x, a);
			put(y, b);
			struct ggml_tensor * o = ggml_mul_mat(j.ops, y, x);
			job_want(&j, o);
			if (job_run(&j)) { get(o, out); r = 0; }
		}
	}
	job_close(&j);
	return r;
}

int skerry_fitter_lm(struct skerry_fitter * f, int n, int dim, const float * rows) {
	drop_lm(f);
	struct ggml_init_params ip = { 3 * ggml_tensor_overhead(), NULL, true };
	float * turned = malloc(sizeof(float) * (size_t) n * (size_t) dim);
	f->lm_ctx = ggml_init(ip);
	if (!turned || !f->lm_ctx) { free(turned); return -1; }
	f->lm = ggml_new_tensor_2d(f->lm_ctx, GGML_TYPE_F32, dim, n);
	f->lm_t = ggml_new_tensor_2d(f->lm_ctx, GGML_TYPE_F32, n, dim);
	f->lm_buffer = ggml_backend_alloc_ctx_tensors(f->lm_ctx, f->backend);
	if (!f->lm_buffer) { free(turned); return -1; }
	for (size_t i = 0; i < (size_t) n; i++)
		for (size_t k = 0; k < (size_t) dim; k++) turned[k * (size_t) n + i] = rows[i * (size_t) dim + k];
	put(f->lm, rows);
	put(f->lm_t, turned);
	free(turned);
	return 0;
}

static struct ggml_tensor * turn(struct job * j, struct ggml_tensor * t) { return ggml_cont(j->ops, ggml_transpose(j->ops, t)); }

int skerry_fitter_step(struct skerry_fitter * f, int n, const float * x, const float * y,
	const float * t, const float * b, float * grad, float * grad_z, float * loss) {
	struct job j;
	int r = -1;
	if (!f->lm) return -1;
	int64_t dim = f->lm->ne[0];
	if (job_open(&j, f)) {
		struct ggml_tensor * lx = leaf(&j, dim, n), * ly = leaf(&j, dim, n), * lt = leaf(&j, dim, dim), * lb = leaf(&j, dim, 1);
		if (job_leaves(&j)) {
			put(lx, x); put(ly, y); put(lt, t); put(lb, b);
			struct ggml_context * g = j.ops;
			struct ggml_tensor * p = ggml_soft_max(g, ggml_mul_mat(g, f->lm, ly));
			struct ggml_tensor * z = ggml_add(g, ggml_mul_mat(g, lt, lx), lb);
			struct ggml_tensor * q = ggml_soft_max(g, ggml_mul_mat(g, f->lm, z));
			struct ggml_tensor * gz = ggml_mul_mat(g, f->lm_t, ggml_sub(g, q, p));
			struct ggml_tensor * gt = ggml_scale(g, ggml_mul_mat(g, turn(&j, lx), turn(&j, gz)), 1.0f / (float) n);
			struct ggml_tensor * kl = NULL;
			job_want(&j, gz);
			job_want(&j, gt);
			if (loss) {  // clamped (in place): a probability that underflows has no logarithm
				struct ggml_tensor * ratio = ggml_sub(g, ggml_log(g, ggml_clamp(g, p, 1e-30f, 1)), ggml_log(g, ggml_clamp(g, q, 1e-30f, 1)));
				kl = ggml_sum(g, ggml_mul(g, p, ratio));
				job_want(&j, kl);
			}
			if (job_run(&j)) {
				get(gz, grad_z);
				get(gt, grad);
				if (loss) { get(kl, loss); *loss /= (float) n; }
				r = 0;
			}
		}
	}
	job_close(&j);
	return r;
}
