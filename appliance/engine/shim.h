// The C side of package engine: a thin layer over llama.h and ggml.h that
// gathers what would otherwise be dozens of calls across the cgo boundary.
// Nothing here aborts on bad arguments; every function that can fail returns
// NULL or a negative number and leaves a line for skerry_last_error.
#ifndef SKERRY_SHIM_H
#define SKERRY_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "llama.h"
#include "ggml-backend.h"
#include "shim_compat.h"

// skerry_init loads the best CPU kernel variant from dir (NULL: none), or with all
// whatever is there, and starts llama.cpp. Call once.
void skerry_init(const char * dir, bool all);

// skerry_hear_base keeps what the ggml-base library logs that kernels bring along.
void skerry_hear_base(void);

// skerry_same_ggml says whether the kernels in dir are of the ggml linked in here,
// by the ggml-base library that lies beside them.
bool skerry_same_ggml(const char * dir);

// skerry_has_cpu says whether CPU kernels are there without loading any.
bool skerry_has_cpu(void);

// skerry_llama_path and skerry_llama_version copy the file llama.cpp was loaded
// from and what it says it is.
void skerry_llama_path(char * buf, size_t len);
void skerry_llama_version(char * buf, size_t len);

// skerry_last_error copies the last warnings and errors that llama.cpp or ggml
// logged since the previous call.
void skerry_last_error(char * buf, size_t len);

// skerry_kernel_path copies the file the CPU kernels in use were loaded from.
void skerry_kernel_path(char * buf, size_t len);

// skerry_kernel_features copies "NAME=VALUE;..." as the kernels report them.
void skerry_kernel_features(char * buf, size_t len);

// skerry_device_list copies one "name (description)" line per compute device.
void skerry_device_list(char * buf, size_t len);

// skerry_gpu_load loads a library that computes on GPUs, and takes the devices that it finds.
// It returns NULL, or why it is of no use, to be freed.
char * skerry_gpu_load(const char * path);

// skerry_gpu_devices are the devices of the library, the last NULL.
ggml_backend_dev_t * skerry_gpu_devices(void);

struct skerry_gpu {
	char name[512];
	size_t free, total;  // bytes of all devices
	bool unified;        // its memory is the CPU's
};

// skerry_gpu_look says what the devices are and have. It is false where there are none.
bool skerry_gpu_look(struct skerry_gpu * g);

// skerry_gpu_guard has a failure that ends the process written to the file at path, while work
// is under way on a GPU; see skerry_gpu_work. NULL: to none.
void skerry_gpu_guard(const char * path);

// skerry_gpu_work counts work on a GPU that begins (1) or has ended (-1).
void skerry_gpu_work(int n);

struct llama_model * skerry_model_load(const char * path, int gpu_layers, bool vocab_only);

struct skerry_stage_options {
	int n_ctx, n_seq, n_rows, threads, poll, flash_attn, type_kv;
	int tap;  // the block whose output is the hidden state, counted from 1
	const int * also;  // further blocks before it whose outputs are copied, ascending
	int n_also;
	bool offload_kv;
};

// Where the hidden states after one block are copied to.
struct skerry_tap {
	char name[32];
	bool inner;              // it lies before the last block, where every row comes out
	float * rows;            // [rows][n_embd]
	size_t got;              // bytes
};

// A context, its thread pool, its batch buffer and the place its hidden states
// are copied to.
struct skerry_stage {
	struct llama_context * ctx;
	struct llama_batch batch;
	struct ggml_threadpool * pool;
	int n_embd, n_rows;
	struct skerry_tap * taps;  // the first is Options.tap
	int n_taps;
	size_t cap;              // bytes of each tap's rows
	bool want_hidden, normed, stop, over, truncated;
	const struct ggml_tensor * norm, * lm;  // the head's weights, seen in the first full graph
};

struct skerry_stage * skerry_stage_new(struct llama_model * model, const struct skerry_stage_options * o);
void skerry_stage_free(struct skerry_stage * s);

// skerry_stage_decode runs the rows that the caller has put into the batch, as
// hidden states or as tokens: sorted by sequence and position, the sequences
// consecutive and with equally many rows, so that llama.cpp computes them in that
// order in one graph. logits[i] flags rows to come out of the last block. With stop
// the graph ends at the tap, before norm and LM head. With normed the tap is the output norm in
// place of the blocks. Returns llama_decode's code, or -100 less the tap's index when its hidden
// states did not come out.
int skerry_stage_decode(struct skerry_stage * s, bool hidden_in, bool want_hidden, bool normed, bool stop);

// skerry_stage_forget removes all positions of a sequence from pos on.
bool skerry_stage_forget(struct skerry_stage * s, int seq, int pos);

// skerry_stage_copy makes all of sequence from that of sequence to, which is empty.
bool skerry_stage_copy(struct skerry_stage * s, int from, int to);

// An exit head: norm, optional translator, LM head, as a ggml graph of its own.
struct skerry_head;
struct skerry_head_options {
	const struct ggml_tensor * norm;   // [n_embd]
	const struct ggml_tensor * lm;     // [n_embd][n_vocab]
	const float * translator;          // [n_embd][n_embd] row-major, or NULL; kept as float16
	const float * bias;                // [n_embd], added to what the translator gives, or NULL
	const void * shortlist_rows;       // rows kept of lm, in lm's type, or NULL
	int n_shortlist;
	float eps;
	int threads, poll;
};
struct skerry_head * skerry_head_new(const struct skerry_head_options * o);
int skerry_head_compute(struct skerry_head * h, int n, const float * hidden, float * logits);
size_t skerry_head_bytes(const struct skerry_head * h);
void skerry_head_free(struct skerry_head * h);

// skerry_possible makes a filter that takes away the candidates of no probability, which
// other filters leave in with a logit of -INFINITY. llama.cpp's typical_p makes NaN of them.
struct llama_sampler * skerry_possible(void);

// skerry_sampler_apply fills candidates from logits (ids NULL: 0..n-1), runs
// the chain and returns how many are left in ids_out and logits_out. Those at or
// below banned do not take part, unless all are; those of -INFINITY never do.
int skerry_sampler_apply(struct llama_sampler * chain, float banned, int n, const int32_t * ids, const float * logits,
	struct llama_token_data * scratch, int32_t * ids_out, float * logits_out);

// skerry_requantize converts rows of cols values between ggml types through
// float32. Returns bytes written or -1.
int64_t skerry_requantize(int dst_type, int src_type, int64_t rows, int64_t cols, const void * src, void * dst);
int64_t skerry_row_size(int type, int64_t cols);

#endif
