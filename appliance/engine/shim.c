#define _GNU_SOURCE
#include "shim.h"
#include "shim_backend.h"
#include <dlfcn.h>
#include <glob.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t log_mu = PTHREAD_MUTEX_INITIALIZER;
static char log_buf[2048];
static size_t log_len;
static bool log_error;

// keep holds the first complaints; later ones only say that loading failed.
// Warnings are kept until there is an error.
static void keep(enum ggml_log_level level, const char * text, void * user) {
	(void) user;
	static __thread enum ggml_log_level last;
	if (level != GGML_LOG_LEVEL_CONT) last = level;
	if (last != GGML_LOG_LEVEL_ERROR && last != GGML_LOG_LEVEL_WARN) return;
	pthread_mutex_lock(&log_mu);
	if (last == GGML_LOG_LEVEL_ERROR && !log_error) {
		log_error = true;
		log_len = 0;
	}
	size_t n = strlen(text);
	if (n > sizeof log_buf - 1 - log_len) n = sizeof log_buf - 1 - log_len;
	memcpy(log_buf + log_len, text, n);
	log_len += n;
	log_buf[log_len] = 0;
	pthread_mutex_unlock(&log_mu);
}

void skerry_last_error(char * buf, size_t len) {
	pthread_mutex_lock(&log_mu);
	snprintf(buf, len, "%s", log_buf);
	log_len = 0;
	log_error = false;
	log_buf[0] = 0;
	pthread_mutex_unlock(&log_mu);
}

// load_cpu loads the variant in dir that fits the processor best. ggml's own search would load
// libraries of GPUs too, whichever they are, and without a word where one fails.
static void load_cpu(const char * dir) {
	char pattern[4096], best[4096] = "";
	glob_t found;
	int most = 0;
	snprintf(pattern, sizeof pattern, "%s/libggml-cpu-*.so", dir);
	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			void * h = dlopen(found.gl_pathv[i], RTLD_NOW | RTLD_LOCAL);
			int (*score)(void) = h ? (int (*)(void)) dlsym(h, "ggml_backend_score") : NULL;
			int n = score ? score() : 0;
			if (n > most) {
				most = n;
				snprintf(best, sizeof best, "%s", found.gl_pathv[i]);
			}
			if (h) dlclose(h);
		}
		globfree(&found);
	}
	if (most) ggml_backend_load(best);
}

void skerry_init(const char * dir, bool all) {
	llama_log_set(keep, NULL);
#ifdef __GLIBC__
	// Stages come and go with buffers that glibc before 2.38 never reuses once
	// they lie in its heap (bug 14581: aligned blocks). A fixed threshold keeps
	// them out of it; left alone, it grows with the first large block freed.
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
#endif
	if (dir && all) ggml_backend_load_all_from_path(dir);
	else if (dir) load_cpu(dir);
	skerry_hear_base();
	llama_backend_init();
}

void skerry_hear_base(void) {
	void * h = dlopen("libggml-base.so.0", RTLD_LAZY | RTLD_NOLOAD);
	if (!h) return;
	void (*set)(ggml_log_callback, void *) = (void (*)(ggml_log_callback, void *)) dlsym(h, "ggml_log_set");
	if (set) set(keep, NULL);
	dlclose(h);
}

static ggml_backend_dev_t cpu_dev(void) { return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU); }
static void * cpu_proc(const char * name) {
	ggml_backend_dev_t d = cpu_dev();  // none where a system's ggml has no kernels installed
	return d ? ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(d), name) : NULL;
}

void skerry_kernel_path(char * buf, size_t len) {
	Dl_info info;
	void * f = cpu_proc("ggml_backend_get_features");
	buf[0] = 0;
	if (f && dladdr(f, &info) && info.dli_fname) snprintf(buf, len, "%s", info.dli_fname);
}

void skerry_kernel_features(char * buf, size_t len) {
	ggml_backend_get_features_t get = (ggml_backend_get_features_t) cpu_proc("ggml_backend_get_features");
	buf[0] = 0;
	if (!get) return;
	size_t at = 0;
	for (struct ggml_backend_feature * f = get(ggml_backend_dev_backend_reg(cpu_dev())); f->name && at < len; f++) {
		int n = snprintf(buf + at, len - at, "%s%s=%s", at ? ";" : "", f->name, f->value);
		if (n < 0) return;
		at += (size_t) n;
	}
}

void skerry_device_list(char * buf, size_t len) {
	size_t at = 0;
	buf[0] = 0;
	for (size_t i = 0; i < ggml_backend_dev_count() && at < len; i++) {
		ggml_backend_dev_t d = ggml_backend_dev_get(i);
		// The linked-in baseline stays registered behind the chosen kernels.
		if (ggml_backend_dev_type(d) == GGML_BACKEND_DEVICE_TYPE_CPU && d != cpu_dev()) continue;
		int n = snprintf(buf + at, len - at, "%s%s (%s)", at ? "\n" : "", ggml_backend_dev_name(d), ggml_backend_dev_description(d));
		if (n < 0) return;
		at += (size_t) n;
	}
}

static struct ggml_threadpool * pool_new(int threads, int poll) {
	struct ggml_threadpool * (*make)(struct ggml_threadpool_params *) =
		(struct ggml_threadpool * (*)(struct ggml_threadpool_params *)) cpu_proc("ggml_threadpool_new");
	if (!make) return NULL;
	struct ggml_threadpool_params p = ggml_threadpool_params_default(threads);
	p.poll = (uint32_t) poll;
	return make(&p);
}

void skerry_pool_free(struct ggml_threadpool * pool) {
	void (*drop)(struct ggml_threadpool *) = (void (*)(struct ggml_threadpool *)) cpu_proc("ggml_threadpool_free");
	if (pool && drop) drop(pool);
}

ggml_backend_t skerry_cpu_backend(int threads, int poll, struct ggml_threadpool ** pool) {
	void (*set_threads)(ggml_backend_t, int) = (void (*)(ggml_backend_t, int)) cpu_proc("ggml_backend_set_n_threads");
	void (*set_pool)(ggml_backend_t, struct ggml_threadpool *) =
		(void (*)(ggml_backend_t, struct ggml_threadpool *)) cpu_proc("ggml_backend_cpu_set_threadpool");
	*pool = pool_new(threads, poll);
	ggml_backend_t b = *pool && set_threads && set_pool ? ggml_backend_dev_init(cpu_dev(), NULL) : NULL;
	if (!b) {
		skerry_pool_free(*pool);
		*pool = NULL;
		return NULL;
	}
	set_threads(b, threads);
	set_pool(b, *pool);
	return b;
}

// In Go: it is told how far the load is, from 0 to 1.
extern void skerryLoading(float progress);

static bool on_load(float progress, void * data) {
	(void)data;
	skerryLoading(progress);
	return true;
}

struct llama_model * skerry_model_load(const char * path, int gpu_layers, bool vocab_only) {
	struct llama_model_params p = llama_model_default_params();
	// A stage of the CPU's has nothing to do with a GPU: one that fails takes it not along.
	static ggml_backend_dev_t none[] = { NULL };
	p.devices = gpu_layers > 0 ? skerry_gpu_devices() : none;
	p.n_gpu_layers = gpu_layers;
	p.vocab_only = vocab_only;
	p.use_extra_bufts = true;
	// The GPU's memory for transfers would take the place of the repacked weights of those
	// blocks that are the CPU's.
	p.no_host = true;
	p.progress_callback = on_load;
	return llama_model_load_from_file(path, p);
}

static const char * const output_norm = "result_norm";

// tap_named is where the hidden states of a node go, NULL for nowhere.
static struct skerry_tap * tap_named(struct skerry_stage * s, const char * name) {
	if (s->normed) return strcmp(name, output_norm) == 0 ? s->taps : NULL;
	for (int i = 0; i < s->n_taps; i++) if (strcmp(name, s->taps[i].name) == 0) return &s->taps[i];
	return NULL;
}

// on_node is llama.cpp's eval callback: it copies the residual stream out after
// the tapped blocks and can end the graph at the first tap, the last in the graph.
//
// Where a GPU computes some blocks the graph is in several parts, each for a device, and false
// ends one of them alone: of every part behind the tap one node is then computed, on whatever
// lies there, and the part ended.
static bool on_node(struct ggml_tensor * t, bool ask, void * user) {
	struct skerry_stage * s = user;
	if (s->over) return ask;
	if (ask) {
		if (t->name[0] == 'r' && !s->lm) {
			if (strcmp(t->name, output_norm) == 0) s->norm = t->src[1];
			if (strcmp(t->name, "result_output") == 0) s->lm = t->src[0];
		}
		if (t->name[0] != 'l' && t->name[0] != 'r') return false;
		return (s->want_hidden || s->stop) && tap_named(s, t->name);
	}
	struct skerry_tap * tap = tap_named(s, t->name);
	if (!tap) return true;
	if (s->want_hidden) {
		size_t n = ggml_nbytes(t);
		if (t->type != GGML_TYPE_F32 || tap->got + n > s->cap) {
			s->truncated = true;
		} else if (n > 0) {
			ggml_backend_tensor_get(t, (char *) tap->rows + tap->got, 0, n);
			tap->got += n;
		}
	}
	s->over = tap == s->taps && s->stop;
	return !s->over;
}

static bool taps_new(struct skerry_stage * s, const struct skerry_stage_options * o, int blocks) {
	s->n_taps = 1 + o->n_also;
	s->cap = sizeof(float) * (size_t) o->n_rows * (size_t) s->n_embd;
	s->taps = calloc((size_t) s->n_taps, sizeof *s->taps);
	for (int i = 0; s->taps && i < s->n_taps; i++) {
		int block = i == 0 ? o->tap : o->also[i - 1];
		snprintf(s->taps[i].name, sizeof s->taps[i].name, "l_out-%d", block - 1);
		s->taps[i].inner = block < blocks;
		s->taps[i].rows = malloc(s->cap);
		if (!s->taps[i].rows) return false;
	}
	return s->taps != NULL;
}

struct skerry_stage * skerry_stage_new(struct llama_model * model, const struct skerry_stage_options * o) {
	struct skerry_stage * s = calloc(1, sizeof *s);
	if (!s) return NULL;
	s->n_embd = llama_model_n_embd(model);
	s->n_rows = o->n_rows;
	bool taps = taps_new(s, o, llama_model_n_layer(model));
	// One buffer serves tokens and hidden states: llama_batch_init allocates one of the two.
	s->batch = llama_batch_init(o->n_rows, s->n_embd, 1);
	if (s->batch.embd) s->batch.token = malloc(sizeof(llama_token) * (size_t) o->n_rows);
	s->pool = pool_new(o->threads, o->poll);
	if (!taps || !s->batch.embd || !s->batch.token || !s->pool) { skerry_stage_free(s); return NULL; }
	struct llama_context_params p = llama_context_default_params();
	p.n_ctx = (uint32_t) o->n_ctx;
	p.n_batch = p.n_ubatch = (uint32_t) o->n_rows;
	p.n_seq_max = (uint32_t) o->n_seq;
	p.n_threads = p.n_threads_batch = o->threads;
	p.flash_attn_type = o->flash_attn ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
	p.type_k = p.type_v = (enum ggml_type) o->type_kv;
	p.offload_kqv = o->offload_kv;
	// Else large batches of the CPU's blocks would be computed on the GPU, weights and all, and
	// round otherwise than small ones.
	p.op_offload = false;
	p.kv_unified = false;
	p.no_perf = true;
	p.cb_eval = on_node;
	p.cb_eval_user_data = s;
	s->ctx = llama_init_from_model(model, p);
	if (!s->ctx) { skerry_stage_free(s); return NULL; }
	llama_attach_threadpool(s->ctx, s->pool, s->pool);
	return s;
}

void skerry_stage_free(struct skerry_stage * s) {
	if (!s) return;
	if (s->ctx) llama_free(s->ctx);
	skerry_pool_free(s->pool);
	llama_batch_free(s->batch);
	for (int i = 0; s->taps && i < s->n_taps; i++) free(s->taps[i].rows);
	free(s->taps);
	free(s);
}

int skerry_stage_decode(struct skerry_stage * s, bool hidden_in, bool want_hidden, bool normed, bool stop) {
	struct llama_batch b = s->batch;
	size_t flagged = 0;
	if (hidden_in) b.token = NULL; else b.embd = NULL;
	for (int i = 0; i < b.n_tokens; i++) {
		b.n_seq_id[i] = 1;
		flagged += b.logits[i] != 0;
	}
	s->want_hidden = want_hidden;
	s->normed = normed;
	s->stop = stop;
	s->over = false;
	for (int i = 0; i < s->n_taps; i++) s->taps[i].got = 0;
	s->truncated = false;
	int r = llama_decode(s->ctx, b);
	if (r != 0) return r;
	llama_synchronize(s->ctx);
	if (!want_hidden) return 0;
	for (int i = 0; i < s->n_taps; i++) {
		size_t rows = s->taps[i].inner ? (size_t) b.n_tokens : flagged;
		if (s->truncated || s->taps[i].got != rows * (size_t) s->n_embd * sizeof(float)) return -100 - i;
	}
	return 0;
}

bool skerry_stage_forget(struct skerry_stage * s, int seq, int pos) {
	return llama_memory_seq_rm(llama_get_memory(s->ctx), seq, pos, -1);
}

// llama_memory_seq_cp would put off the copy to the next llama_decode, and copy
// unused cells too.
bool skerry_stage_copy(struct skerry_stage * s, int from, int to) {
	size_t n = llama_state_seq_get_size(s->ctx, from);
	uint8_t * buf = malloc(n);
	bool ok = buf && llama_state_seq_get_data(s->ctx, buf, n, from) > 0 && llama_state_seq_set_data(s->ctx, buf, n, to) > 0;
	free(buf);
	return ok;
}

struct skerry_head {
	ggml_backend_t backend;
	struct ggml_threadpool * pool;
	struct ggml_context * weights, * short_ctx;  // translator and bias; shortlist
	ggml_backend_buffer_t buffer, short_buffer, in_buffer;
	const struct ggml_tensor * norm, * lm;
	struct ggml_tensor * translator, * bias, * short_lm;
	struct ggml_context * in_ctx, * graph_ctx;
	struct ggml_tensor * in, * out;
	struct ggml_cgraph * graph;
	ggml_gallocr_t alloc;
	float eps;
	int n;                                   // rows the graph is built for
};

// on_cpu says whether the CPU backend can read t where it lies.
static bool on_cpu(const struct ggml_tensor * t) {
	if (!t || !t->buffer) return false;
	ggml_backend_buffer_type_t bt = ggml_backend_buffer_get_type(t->buffer);
	ggml_backend_dev_t d = ggml_backend_buft_get_device(bt);
	return ggml_backend_buft_is_host(bt) || (d && ggml_backend_dev_type(d) == GGML_BACKEND_DEVICE_TYPE_CPU);
}

static pthread_mutex_t head_mu = PTHREAD_MUTEX_INITIALIZER;

// weight_buft, called under head_mu, picks the repacking buffer type where the kernels have one for w,
// as llama.cpp does for the model's own matrices.
static ggml_backend_buffer_type_t weight_buft(const struct ggml_tensor * w) {
	ggml_backend_buffer_type_t plain = ggml_backend_dev_buffer_type(cpu_dev());
	ggml_backend_dev_get_extra_bufts_t extra = (ggml_backend_dev_get_extra_bufts_t) cpu_proc("ggml_backend_dev_get_extra_bufts");
	ggml_backend_buffer_type_t * list = extra ? extra(cpu_dev()) : NULL;
	// Empty buffers are never freed by this ggml, so each type's is kept.
	static ggml_backend_buffer_t probes[8];
	for (int i = 0; list && list[i] && i < 8; i++) {
		struct ggml_init_params ip = { 4 * ggml_tensor_overhead(), NULL, true };
		struct ggml_context * c = ggml_init(ip);
		if (!probes[i]) probes[i] = ggml_backend_buft_alloc_buffer(list[i], 0);
		struct ggml_tensor * a = ggml_new_tensor_2d(c, w->type, w->ne[0], w->ne[1]);
		a->buffer = probes[i];
		struct ggml_tensor * op = ggml_mul_mat(c, a, ggml_new_tensor_2d(c, GGML_TYPE_F32, w->ne[0], 1));
		bool ok = probes[i] && ggml_backend_dev_supports_op(cpu_dev(), op);
		ggml_free(c);
		if (ok) return list[i];
	}
	return plain;
}

// head_translator keeps the translator in float16, half the bytes of a token, and its bias.
static bool head_translator(struct skerry_head * h, const struct skerry_head_options * o, struct ggml_init_params ip) {
	int64_t n = o->lm->ne[0];
	h->weights = ggml_init(ip);
	h->translator = ggml_new_tensor_2d(h->weights, GGML_TYPE_F16, n, n);
	if (o->bias) h->bias = ggml_new_tensor_1d(h->weights, GGML_TYPE_F32, n);
	h->buffer = ggml_backend_alloc_ctx_tensors(h->weights, h->backend);
	void * half = malloc(ggml_nbytes(h->translator));
	bool ok = h->buffer && half && skerry_requantize(GGML_TYPE_F16, GGML_TYPE_F32, n, n, o->translator, half) == (int64_t) ggml_nbytes(h->translator);
	if (ok) ggml_backend_tensor_set(h->translator, half, 0, ggml_nbytes(h->translator));
	if (ok && o->bias) ggml_backend_tensor_set(h->bias, o->bias, 0, ggml_nbytes(h->bias));
	free(half);
	return ok;
}

struct skerry_head * skerry_head_new(const struct skerry_head_options * o) {
	if (!on_cpu(o->norm) || !on_cpu(o->lm)) return NULL;
	struct skerry_head * h = calloc(1, sizeof *h);
	if (!h) return NULL;
	h->norm = o->norm;
	h->lm = o->lm;
	h->eps = o->eps;
	h->backend = skerry_cpu_backend(o->threads, o->poll, &h->pool);
	if (!h->backend) { skerry_head_free(h); return NULL; }
	struct ggml_init_params ip = { 3 * ggml_tensor_overhead(), NULL, true };
	if (o->translator && !head_translator(h, o, ip)) { skerry_head_free(h); return NULL; }
	int64_t n_embd = o->lm->ne[0];
	if (o->shortlist_rows) {
		h->short_ctx = ggml_init(ip);
		h->short_lm = ggml_new_tensor_2d(h->short_ctx, o->lm->type, n_embd, o->n_shortlist);
		pthread_mutex_lock(&head_mu);
		ggml_backend_buffer_type_t bt = weight_buft(h->short_lm);
		pthread_mutex_unlock(&head_mu);
		h->short_buffer = ggml_backend_alloc_ctx_tensors_from_buft(h->short_ctx, bt);
		if (!h->short_buffer) { skerry_head_free(h); return NULL; }
		ggml_backend_tensor_set(h->short_lm, o->shortlist_rows, 0, ggml_nbytes(h->short_lm));
	}
	return h;
}

static void head_drop_graph(struct skerry_head * h) {
	if (h->alloc) ggml_gallocr_free(h->alloc);
	if (h->in_buffer) ggml_backend_buffer_free(h->in_buffer);
	if (h->in_ctx) ggml_free(h->in_ctx);
	if (h->graph_ctx) ggml_free(h->graph_ctx);
	h->alloc = NULL; h->in_buffer = NULL; h->in_ctx = NULL; h->graph_ctx = NULL; h->n = 0;
}

static bool head_build(struct skerry_head * h, int n) {
	head_drop_graph(h);
	struct ggml_init_params ip = { 2 * ggml_tensor_overhead(), NULL, true };
	struct ggml_init_params gp = { 16 * ggml_tensor_overhead() + ggml_graph_overhead_custom(16, false), NULL, true };
	h->in_ctx = ggml_init(ip);
	h->graph_ctx = ggml_init(gp);
	if (!h->in_ctx || !h->graph_ctx) return false;
	h->in = ggml_new_tensor_2d(h->in_ctx, GGML_TYPE_F32, h->lm->ne[0], n);
	h->in_buffer = ggml_backend_alloc_ctx_tensors(h->in_ctx, h->backend);
	if (!h->in_buffer) return false;
	struct ggml_context * g = h->graph_ctx;
	struct ggml_tensor * x = ggml_mul(g, ggml_rms_norm(g, h->in, h->eps), (struct ggml_tensor *) h->norm);
	if (h->translator) x = ggml_mul_mat(g, h->translator, x);
	if (h->bias) x = ggml_add(g, x, h->bias);
	x = ggml_mul_mat(g, h->short_lm ? h->short_lm : (struct ggml_tensor *) h->lm, x);
	ggml_set_output(x);
	h->out = x;
	h->graph = ggml_new_graph_custom(g, 16, false);
	ggml_build_forward_expand(h->graph, x);
	h->alloc = ggml_gallocr_new(ggml_backend_get_default_buffer_type(h->backend));
	if (!h->alloc || !ggml_gallocr_alloc_graph(h->alloc, h->graph)) return false;
	h->n = n;
	return true;
}

int skerry_head_compute(struct skerry_head * h, int n, const float * hidden, float * logits) {
	if (n != h->n && !head_build(h, n)) return -1;
	ggml_backend_tensor_set(h->in, hidden, 0, ggml_nbytes(h->in));
	if (ggml_backend_graph_compute(h->backend, h->graph) != GGML_STATUS_SUCCESS) return -2;
	ggml_backend_tensor_get(h->out, logits, 0, ggml_nbytes(h->out));
	return 0;
}

size_t skerry_head_bytes(const struct skerry_head * h) {
	return (h->buffer ? ggml_backend_buffer_get_size(h->buffer) : 0) + (h->short_buffer ? ggml_backend_buffer_get_size(h->short_buffer) : 0);
}

void skerry_head_free(struct skerry_head * h) {
	if (!h) return;
	head_drop_graph(h);
	if (h->buffer) ggml_backend_buffer_free(h->buffer);
	if (h->weights) ggml_free(h->weights);
	if (h->short_buffer) ggml_backend_buffer_free(h->short_buffer);
	if (h->short_ctx) ggml_free(h->short_ctx);
	if (h->backend) ggml_backend_free(h->backend);
	skerry_pool_free(h->pool);
	free(h);
}

static const char * possible_name(const struct llama_sampler * s) {
	(void) s;
	return "possible";
}

// possible_apply keeps the order, and so what is known of it. A probability below exp(-70)
// could be 0 once it is divided by the sum of all.
static void possible_apply(struct llama_sampler * s, llama_token_data_array * a) {
	(void) s;
	float top = -INFINITY;
	for (size_t i = 0; i < a->size; i++) if (a->data[i].logit > top) top = a->data[i].logit;
	if (!isfinite(top)) return;
	size_t n = 0;
	for (size_t i = 0; i < a->size; i++) if (a->data[i].logit >= top - 70) a->data[n++] = a->data[i];
	a->size = n;
	a->selected = -1;
}

struct llama_sampler * skerry_possible(void) {
	static struct llama_sampler_i possible = { .name = possible_name, .apply = possible_apply };
	return llama_sampler_init(&possible, NULL);
}

static size_t take_above(float least, int n, const int32_t * ids, const float * logits, struct llama_token_data * out) {
	size_t taken = 0;
	for (int i = 0; i < n; i++) if (logits[i] > least) out[taken++] = (struct llama_token_data) { ids ? ids[i] : i, logits[i], 0 };
	return taken;
}

int skerry_sampler_apply(struct llama_sampler * chain, float banned, int n, const int32_t * ids, const float * logits,
	struct llama_token_data * scratch, int32_t * ids_out, float * logits_out) {
	size_t taken = take_above(banned, n, ids, logits, scratch);
	if (!taken) taken = take_above(-INFINITY, n, ids, logits, scratch);
	if (!taken) return 0;
	llama_token_data_array a = { scratch, taken, -1, false };
	llama_sampler_apply(chain, &a);
	for (size_t i = 0; i < a.size; i++) { ids_out[i] = a.data[i].id; logits_out[i] = a.data[i].logit; }
	return (int) a.size;
}

int64_t skerry_row_size(int type, int64_t cols) {
	if (type < 0 || type >= GGML_TYPE_COUNT) return -1;
	int64_t block = ggml_blck_size((enum ggml_type) type);
	if (block <= 0 || cols % block != 0) return -1;
	return (int64_t) ggml_row_size((enum ggml_type) type, cols);
}

int64_t skerry_requantize(int dst_type, int src_type, int64_t rows, int64_t cols, const void * src, void * dst) {
	const struct ggml_type_traits * from = ggml_get_type_traits((enum ggml_type) src_type);
	int64_t src_row = skerry_row_size(src_type, cols), dst_row = skerry_row_size(dst_type, cols);
	if (src_row < 0 || dst_row < 0 || (src_type != GGML_TYPE_F32 && !from->to_float)) return -1;
	if (ggml_quantize_requires_imatrix((enum ggml_type) dst_type)) return -1;
	float * row = malloc(sizeof(float) * (size_t) cols);
	if (!row) return -1;
	int64_t done = 0;
	for (int64_t i = 0; i < rows; i++) {
		const float * f = row;
		if (src_type == GGML_TYPE_F32) f = (const float *) ((const char *) src + i * src_row);
		else from->to_float((const char *) src + i * src_row, row, cols);
		done += (int64_t) ggml_quantize_chunk((enum ggml_type) dst_type, f, (char *) dst + i * dst_row, 0, 1, cols, NULL);
	}
	free(row);
	return done;
}
