// llama.cpp's own speculative decoding as another project built it: the drafting, the
// acceptance and the lengths are those of its libllama-common; this is the loop round them,
// greedy, with times taken inside.
//   speculate LIBS MODEL THREADS CONTEXT BATCH KIND DRAFT MAX PMIN
// KIND is a name of llama.cpp's (draft-simple, ngram-simple, ngram-map-k, ngram-mod, none);
// DRAFT a model for draft-simple, else -; MAX the longest draft and PMIN the probability
// below which a draft ends, - for llama.cpp's defaults. Requests are {uint32 op 'S', uint32 n}
// and n int32: how many tokens to say, then the prompt. Answers are
// {int32 status, uint32 bytes, int64 nanoseconds} and bytes of int32: checks, drafted,
// accepted, then the tokens that were said. The time is that after the prompt.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>
#include "ggml-backend.h"
#include "llama.h"
#include "common.h"
#include "speculative.h"

namespace {

const int32_t no_row = -100, bad_request = -101, refused = -102;

struct speculation {
	common_params_speculative params;
	llama_model * model = nullptr, * draft_model = nullptr;
	llama_context * ctx = nullptr, * draft_ctx = nullptr;
	int n_vocab = 0, n_batch = 0;
	bool drafts = false;
};

struct counts { int32_t checks = 0, drafted = 0, accepted = 0; };

void quiet(ggml_log_level level, const char * text, void *) {
	if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

int64_t now() {
	timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

void answer(int32_t status, int64_t ns, const void * data, size_t bytes) {
	struct { int32_t status; uint32_t bytes; int64_t ns; } h = { status, (uint32_t) bytes, ns };
	if (fwrite(&h, sizeof h, 1, stdout) != 1 || fwrite(data, 1, bytes, stdout) != bytes || fflush(stdout)) exit(1);
}

void * cpu_proc(const char * name) {
	ggml_backend_dev_t d = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
	return d ? ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(d), name) : nullptr;
}

ggml_threadpool * new_pool(int threads) {
	auto make = (ggml_threadpool * (*)(ggml_threadpool_params *)) cpu_proc("ggml_threadpool_new");
	ggml_threadpool_params p = ggml_threadpool_params_default(threads);
	return make ? make(&p) : nullptr;
}

bool open_context(const char * path, int threads, int context, int n_batch, ggml_threadpool * pool, llama_model *& model, llama_context *& ctx) {
	model = llama_model_load_from_file(path, llama_model_default_params());
	if (!model) return false;
	llama_context_params p = llama_context_default_params();
	p.n_ctx = (uint32_t) context;
	p.n_batch = p.n_ubatch = (uint32_t) n_batch;
	p.n_threads = p.n_threads_batch = threads;
	p.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
	ctx = llama_init_from_model(model, p);
	if (ctx) llama_attach_threadpool(ctx, pool, pool);
	return ctx != nullptr;
}

bool open_all(speculation & s, char ** a) {
	const int threads = atoi(a[1]), context = atoi(a[2]);
	s.n_batch = atoi(a[3]);
	// One pool for both models: they compute in turns.
	ggml_threadpool * pool = new_pool(threads);
	if (!pool || !open_context(a[0], threads, context, s.n_batch, pool, s.model, s.ctx)) return false;
	s.n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(s.model));
	const std::string kind = a[4];
	s.drafts = kind != "none";
	if (!s.drafts) return true;
	const common_speculative_type type = common_speculative_type_from_name(kind);
	if (type == COMMON_SPECULATIVE_TYPE_COUNT) {
		fprintf(stderr, "it has no drafts called %s\n", kind.c_str());
		return false;
	}
	s.params.types = { type };
	if (strcmp(a[6], "-")) s.params.draft.n_max = atoi(a[6]);
	if (strcmp(a[7], "-")) s.params.draft.p_min = (float) atof(a[7]);
	s.params.draft.ctx_tgt = s.ctx;
	if (strcmp(a[5], "-")) {
		if (!open_context(a[5], threads, context, s.n_batch, pool, s.draft_model, s.draft_ctx)) return false;
		s.params.draft.mparams.path = a[5];
		s.params.draft.ctx_dft = s.draft_ctx;
	}
	return true;
}

int best(const float * row, int n) {
	int at = 0;
	for (int i = 1; i < n; i++) if (row[i] > row[at]) at = i;
	return at;
}

// compute the tokens of a batch on the model, and let the drafts follow.
int32_t compute(speculation & s, common_speculative * spec, llama_batch & batch) {
	const int r = llama_decode(s.ctx, batch);
	if (r != 0) return r;
	llama_synchronize(s.ctx);
	return !spec || common_speculative_process(spec, batch) ? 0 : refused;
}

void add(llama_batch & batch, llama_token token, llama_pos at, bool logits) {
	const int i = batch.n_tokens++;
	batch.token[i] = token;
	batch.pos[i] = at;
	batch.n_seq_id[i] = 1;
	batch.seq_id[i][0] = 0;
	batch.logits[i] = logits;
}

int32_t read_prompt(speculation & s, common_speculative * spec, llama_batch & batch, const std::vector<llama_token> & prompt) {
	for (size_t at = 0; at + 1 < prompt.size();) {
		batch.n_tokens = 0;
		while (at + 1 < prompt.size() && batch.n_tokens < s.n_batch) {
			add(batch, prompt[at], (llama_pos) at, false);
			at++;
		}
		if (int32_t r = compute(s, spec, batch)) return r;
	}
	return 0;
}

void forget_from(llama_context * ctx, llama_pos at) {
	if (ctx) llama_memory_seq_rm(llama_get_memory(ctx), 0, at, -1);
}

// say continues a prompt by n tokens, or to the end of the answer.
int32_t say(speculation & s, common_speculative * spec, llama_batch & batch, std::vector<llama_token> known, int n, std::vector<llama_token> & said, counts & c) {
	const llama_vocab * vocab = llama_model_get_vocab(s.model);
	llama_token last = known.back();
	known.pop_back();
	while ((int) said.size() < n) {
		std::vector<llama_token> draft;
		const llama_pos past = (llama_pos) known.size();
		if (spec) {
			common_speculative_draft_params & d = common_speculative_get_draft_params(spec, 0);
			d.drafting = true;
			d.n_max = n - (int) said.size() - 1;
			d.pos0 = past;
			d.id_last = last;
			d.prompt = &known;
			d.result = &draft;
			common_speculative_draft(spec);
			forget_from(s.draft_ctx, past); // what it drafted is computed again with the check
		}
		batch.n_tokens = 0;
		add(batch, last, past, true);
		for (llama_token t : draft) add(batch, t, past + batch.n_tokens, true);
		if (int32_t r = compute(s, spec, batch)) return r;
		size_t right = 0;
		llama_token next = 0;
		for (;; right++) {
			const float * row = llama_get_logits_ith(s.ctx, (int32_t) right);
			if (!row) return no_row;
			next = best(row, s.n_vocab);
			if (right == draft.size() || next != draft[right]) break;
		}
		c.checks++;
		c.drafted += (int32_t) draft.size();
		c.accepted += (int32_t) right;
		if (spec) common_speculative_accept(spec, 0, (uint16_t) right);
		known.push_back(last);
		for (size_t i = 0; i <= right; i++) {
			last = i < right ? draft[i] : next;
			said.push_back(last);
			if (i < right) known.push_back(last);
			if (llama_vocab_is_eog(vocab, last)) return 0;
		}
		forget_from(s.ctx, (llama_pos) known.size());
		forget_from(s.draft_ctx, (llama_pos) known.size());
	}
	return 0;
}

void serve(speculation & s) {
	llama_batch batch = llama_batch_init(s.n_batch, 0, 1);
	uint32_t h[2];
	while (fread(h, sizeof h, 1, stdin) == 1) {
		std::vector<llama_token> words(h[1]);
		if (fread(words.data(), sizeof(llama_token), h[1], stdin) != h[1]) exit(1);
		if (h[0] != 'S' || words.size() < 2) {
			answer(bad_request, 0, nullptr, 0);
			continue;
		}
		const int n = words[0];
		words.erase(words.begin());
		llama_memory_clear(llama_get_memory(s.ctx), false);
		if (s.draft_ctx) llama_memory_clear(llama_get_memory(s.draft_ctx), false);
		common_speculative * spec = s.drafts ? common_speculative_init(s.params, 1) : nullptr;
		std::vector<llama_token> said;
		counts c;
		int32_t r = s.drafts && !spec ? refused : read_prompt(s, spec, batch, words);
		if (r == 0 && spec) common_speculative_begin(spec, 0, std::vector<llama_token>(words.begin(), words.end() - 1));
		const int64_t began = now();
		if (r == 0) r = say(s, spec, batch, words, n, said, c);
		const int64_t took = now() - began;
		if (spec) common_speculative_free(spec);
		std::vector<int32_t> out = { c.checks, c.drafted, c.accepted };
		out.insert(out.end(), said.begin(), said.end());
		answer(r, took, out.data(), r == 0 ? out.size() * sizeof(int32_t) : 0);
	}
}

} // namespace

int main(int argc, char ** argv) {
	if (argc != 10) return 2;
	llama_log_set(quiet, nullptr);
	ggml_backend_load_all_from_path(argv[1]);
	llama_backend_init();
	if (!cpu_proc("ggml_backend_get_features")) { fputs("no kernels fit this processor\n", stderr); return 4; }
	speculation s;
	const int64_t t = now();
	if (!open_all(s, argv + 2)) return 5;
	answer(0, now() - t, argv[6], strlen(argv[6]));
	serve(s);
	return 0;
}
