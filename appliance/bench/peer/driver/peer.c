// The peer's process: llama.cpp as another project built it, answering requests
// on stdin with times taken round the calls themselves, so that no pipe and no
// binding is measured.
//   peer check LIBS                       prints llama.cpp's version
//   peer run LIBS MODEL THREADS CONTEXT BATCH FLASH POLL
// Requests are {uint32 op, uint32 n} and n int32 tokens; answers
// {int32 status, uint32 bytes, int64 nanoseconds} and so many bytes.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "ggml-backend.h"
#include "llama.h"

enum { OP_PROMPT = 'P', OP_DECODE = 'D', OP_LOGITS = 'L' };

static struct llama_context * ctx;
static struct llama_batch batch;
static int n_batch, n_vocab, n_past;
static float * row;  // logits of the last row computed

static void quiet(enum ggml_log_level level, const char * text, void * user) {
	(void) user;
	if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static int64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static void answer(int32_t status, int64_t ns, const void * data, uint32_t bytes) {
	struct { int32_t status; uint32_t bytes; int64_t ns; } h = { status, bytes, ns };
	if (fwrite(&h, sizeof h, 1, stdout) != 1 || fwrite(data, 1, bytes, stdout) != bytes || fflush(stdout)) exit(1);
}

static void * cpu_proc(const char * name) {
	ggml_backend_dev_t d = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
	return d ? ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(d), name) : NULL;
}

// layout compares default values with the header's: where headers and library
// disagree, these are shifted.
static int layout(void) {
	struct llama_context_params c = llama_context_default_params();
	struct llama_model_params m = llama_model_default_params();
	struct ggml_threadpool_params t = ggml_threadpool_params_default(3);
	return c.n_ctx == 512 && c.n_batch == 2048 && c.n_ubatch == 512 && c.n_seq_max == 1 &&
		c.flash_attn_type == LLAMA_FLASH_ATTN_TYPE_AUTO && c.yarn_beta_slow == -1.0f && c.cb_eval == NULL &&
		c.type_k == GGML_TYPE_F16 && c.type_v == GGML_TYPE_F16 && c.offload_kqv && c.no_perf && c.op_offload &&
		c.ctx_other == NULL && m.tensor_split == NULL && !m.vocab_only && m.use_extra_bufts && t.n_threads == 3 && t.poll == 50;
}

// rows computes n tokens as one batch, with logits of the last row if asked.
static int rows(const int32_t * tok, int n, int logits) {
	batch.n_tokens = n;
	for (int i = 0; i < n; i++) {
		batch.token[i] = tok[i];
		batch.pos[i] = n_past + i;
		batch.n_seq_id[i] = 1;
		batch.seq_id[i][0] = 0;
		batch.logits[i] = logits && i == n - 1;
	}
	int r = llama_decode(ctx, batch);
	if (r != 0) return r;
	llama_synchronize(ctx);
	n_past += n;
	if (logits) row = llama_get_logits_ith(ctx, -1);
	return logits && !row ? -100 : 0;
}

static int prompt(const int32_t * tok, int n) {
	int r = 0;
	for (int i = 0; i < n && r == 0; i += n_batch) {
		int k = n - i < n_batch ? n - i : n_batch;
		r = rows(tok + i, k, i + k == n);
	}
	return r;
}

static int decode(const int32_t * tok, int n) {
	int r = 0;
	for (int i = 0; i < n && r == 0; i++) r = rows(tok + i, 1, 1);
	return r;
}

static void serve(void) {
	uint32_t h[2];
	while (fread(h, sizeof h, 1, stdin) == 1) {
		int32_t * tok = malloc(sizeof *tok * ((size_t) h[1] + 1));
		if (!tok || fread(tok, sizeof *tok, h[1], stdin) != h[1]) exit(1);
		int r = -101;
		if (h[0] == OP_PROMPT) {
			llama_memory_clear(llama_get_memory(ctx), false);
			n_past = 0;
			row = NULL;
		}
		int64_t t = now();
		if (h[0] == OP_PROMPT) r = prompt(tok, (int) h[1]);
		if (h[0] == OP_DECODE) r = decode(tok, (int) h[1]);
		t = now() - t;
		free(tok);
		if (h[0] == OP_LOGITS) answer(row ? 0 : -100, 0, row, row ? (uint32_t) n_vocab * sizeof(float) : 0);
		else answer(r, t, NULL, 0);
	}
}

static int open_model(char ** a) {
	struct llama_model * model = llama_model_load_from_file(a[0], llama_model_default_params());
	if (!model) return 0;
	int threads = atoi(a[1]), poll = atoi(a[5]);
	n_batch = atoi(a[3]);
	n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
	struct llama_context_params p = llama_context_default_params();
	p.n_ctx = (uint32_t) atoi(a[2]);
	p.n_batch = p.n_ubatch = (uint32_t) n_batch;
	p.n_threads = p.n_threads_batch = threads;
	p.flash_attn_type = atoi(a[4]) ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
	ctx = llama_init_from_model(model, p);
	if (!ctx) return 0;
	// As llama.cpp's own programs do: a lasting pool, not threads for every graph.
	struct ggml_threadpool * (*make)(struct ggml_threadpool_params *) =
		(struct ggml_threadpool * (*)(struct ggml_threadpool_params *)) cpu_proc("ggml_threadpool_new");
	struct ggml_threadpool_params tp = ggml_threadpool_params_default(threads);
	if (poll >= 0) tp.poll = (uint32_t) poll;
	struct ggml_threadpool * pool = make ? make(&tp) : NULL;
	if (!pool) return 0;
	llama_attach_threadpool(ctx, pool, pool);
	batch = llama_batch_init(n_batch, 0, 1);
	return 1;
}

int main(int argc, char ** argv) {
	if (argc < 3) return 2;
	llama_log_set(quiet, NULL);
	if (!layout()) { fputs("the headers are not this library's\n", stderr); return 3; }
	ggml_backend_load_all_from_path(argv[2]);
	llama_backend_init();
	Dl_info info = { 0 };
	void * f = cpu_proc("ggml_backend_get_features");
	if (!f || !dladdr(f, &info)) { fputs("no kernels fit this processor\n", stderr); return 4; }
	if (strcmp(argv[1], "check") == 0) { puts(llama_version()); return 0; }
	if (argc != 9) return 2;
	int64_t t = now();
	if (!open_model(argv + 3)) return 5;
	answer(0, now() - t, info.dli_fname, (uint32_t) strlen(info.dli_fname));
	serve();
	return 0;
}
