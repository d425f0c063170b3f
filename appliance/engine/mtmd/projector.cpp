#include "projector.h"
#include "mtmd.h"

#include <cstdio>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace {

std::mutex log_mu;
std::string complaint;  // the first error since it was emptied

void hear(enum ggml_log_level level, const char * text, void *) {
	if (level != GGML_LOG_LEVEL_ERROR) return;
	std::lock_guard<std::mutex> hold(log_mu);
	if (complaint.empty()) complaint = text;
}

// forget empties the complaint, say copies it.
void forget() {
	std::lock_guard<std::mutex> hold(log_mu);
	complaint.clear();
}

void say(char * why, size_t len, const char * otherwise) {
	std::lock_guard<std::mutex> hold(log_mu);
	std::snprintf(why, len, "%s", complaint.empty() ? otherwise : complaint.c_str());
}

}  // namespace

struct skerry_projector {
	mtmd_context * ctx;
	int n_embd;
	std::vector<int32_t> tokens;
	std::vector<float> rows;
};

struct skerry_projector * skerry_projector_open(const char * path, const struct llama_model * model, int threads, char * why, size_t len) {
	mtmd_log_set(hear, nullptr);
	forget();
	try {
		mtmd_context_params o = mtmd_context_params_default();
		o.use_gpu = false;
		o.print_timings = false;
		o.n_threads = threads;
		o.warmup = false;
		mtmd_context * ctx = mtmd_init_from_file(path, model, o);
		if (!ctx) {
			say(why, len, "no reason given");
			return nullptr;
		}
		if (!mtmd_support_vision(ctx) || mtmd_decode_use_mrope(ctx) || mtmd_decode_use_non_causal(ctx)) {
			mtmd_free(ctx);
			std::snprintf(why, len, "it is for no images, or for a model whose attention or positions are not those of a text");
			return nullptr;
		}
		return new skerry_projector{ctx, llama_model_n_embd(model), {}, {}};
	} catch (const std::exception & e) {
		std::snprintf(why, len, "%s", e.what());
		return nullptr;
	}
}

void skerry_projector_free(struct skerry_projector * p) {
	mtmd_free(p->ctx);
	delete p;
}

bool skerry_projector_encode(struct skerry_projector * p, uint32_t width, uint32_t height, const uint8_t * rgb,
	struct skerry_image * out, char * why, size_t len) {
	forget();
	p->tokens.clear();
	p->rows.clear();
	try {
		std::unique_ptr<mtmd_bitmap, decltype(&mtmd_bitmap_free)> bitmap(mtmd_bitmap_init(width, height, rgb), mtmd_bitmap_free);
		std::unique_ptr<mtmd_input_chunks, decltype(&mtmd_input_chunks_free)> chunks(mtmd_input_chunks_init(), mtmd_input_chunks_free);
		const mtmd_input_text text = {mtmd_default_marker(), false, true};
		const mtmd_bitmap * bitmaps[] = {bitmap.get()};
		if (mtmd_tokenize(p->ctx, chunks.get(), &text, bitmaps, 1) != 0) {
			say(why, len, "it could not be cut into patches");
			return false;
		}
		for (size_t i = 0; i < mtmd_input_chunks_size(chunks.get()); i++) {
			const mtmd_input_chunk * chunk = mtmd_input_chunks_get(chunks.get(), i);
			if (mtmd_input_chunk_get_type(chunk) == MTMD_INPUT_CHUNK_TYPE_TEXT) {
				size_t n = 0;
				const llama_token * ids = mtmd_input_chunk_get_tokens_text(chunk, &n);
				for (size_t k = 0; k < n; k++) {
					if (ids[k] < 0) {
						std::snprintf(why, len, "the model has no token for where an image begins or ends: the projector is another model's");
						return false;
					}
				}
				p->tokens.insert(p->tokens.end(), ids, ids + n);
				continue;
			}
			if (mtmd_encode_chunk(p->ctx, chunk) != 0) {
				say(why, len, "it could not be encoded");
				return false;
			}
			const size_t n = mtmd_input_chunk_get_n_tokens(chunk);
			const float * rows = mtmd_get_output_embd(p->ctx);
			p->tokens.insert(p->tokens.end(), n, -1);
			p->rows.insert(p->rows.end(), rows, rows + n * (size_t) p->n_embd);
		}
	} catch (const std::exception & e) {
		std::snprintf(why, len, "%s", e.what());
		return false;
	}
	*out = {p->tokens.size(), p->rows.size() / (size_t) p->n_embd, p->tokens.data(), p->rows.data()};
	return true;
}
