// What differs between the module's llama.cpp and newer ones, told apart by the
// declarations in their headers: llama.h carries no version to compare.
#ifndef SKERRY_SHIM_COMPAT_H
#define SKERRY_SHIM_COMPAT_H

#include "llama.h"

// The penalties' filter takes the vocabulary's size in newer ones.
typedef struct llama_sampler * (*skerry_penalties_4)(int32_t, float, float, float);
typedef struct llama_sampler * (*skerry_penalties_5)(int32_t, int32_t, float, float, float);

static inline struct llama_sampler * skerry_call_4(void (*f)(void), int32_t n_vocab, int32_t last, float repeat, float frequency, float presence) {
	(void) n_vocab;
	return ((skerry_penalties_4) f)(last, repeat, frequency, presence);
}

static inline struct llama_sampler * skerry_call_5(void (*f)(void), int32_t n_vocab, int32_t last, float repeat, float frequency, float presence) {
	return ((skerry_penalties_5) f)(n_vocab, last, repeat, frequency, presence);
}

static inline struct llama_sampler * skerry_penalties(int32_t n_vocab, int32_t last, float repeat, float frequency, float presence) {
	return _Generic(&llama_sampler_init_penalties, skerry_penalties_4: skerry_call_4, skerry_penalties_5: skerry_call_5)
		((void (*)(void)) llama_sampler_init_penalties, n_vocab, last, repeat, frequency, presence);
}

#endif
