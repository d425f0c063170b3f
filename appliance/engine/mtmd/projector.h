// A projector turns an image into what the first stage takes: rows of input embeddings,
// with the tokens that belong before, between and behind them.
#ifndef SKERRY_PROJECTOR_H
#define SKERRY_PROJECTOR_H

#include <stddef.h>
#include <stdint.h>
#include "llama.h"

#ifdef __cplusplus
extern "C" {
#endif

struct skerry_projector;

// skerry_projector_open opens the GGUF at path for a model. Where it cannot be used it returns
// NULL and why, as text.
struct skerry_projector * skerry_projector_open(const char * path, const struct llama_model * model, int threads, char * why, size_t len);

void skerry_projector_free(struct skerry_projector * p);

// What an image became: n tokens, of which those below 0 are rows, in their order.
struct skerry_image {
	size_t n, n_rows;
	const int32_t * tokens;
	const float * rows;  // [n_rows][n_embd]
};

// skerry_projector_encode makes an image of width times height pixels, three bytes each. What it
// returns is there until the next call. It is false, with why as text, where that fails.
bool skerry_projector_encode(struct skerry_projector * p, uint32_t width, uint32_t height, const uint8_t * rgb,
	struct skerry_image * out, char * why, size_t len);

#ifdef __cplusplus
}
#endif
#endif
