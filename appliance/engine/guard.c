// Sliding windows and several sequences in one KV cache. llama.cpp gives away
// the cells of positions that a sequence's window has passed, even while others
// are free; a sequence that is truncated needs them again. It spares cells that
// belong to two sequences, so every cell is entered in one more sequence, the
// guard, which computes nothing and has the number after the last real one.
#include "shim.h"

bool skerry_needs_guard(const struct llama_model * model, int n_seq) {
	return n_seq > 1 && llama_model_n_swa(model) > 0;
}

// skerry_stage_guard enters positions [from,to) of a sequence; a negative to is
// the end.
void skerry_stage_guard(struct skerry_stage * s, int seq, int from, int to) {
	if (s->guard > 0) llama_memory_seq_cp(llama_get_memory(s->ctx), seq, s->guard, from, to);
}

// skerry_stage_forget removes all positions of a sequence from pos on. The
// others' are entered again: the guard has only one set of positions.
bool skerry_stage_forget(struct skerry_stage * s, int seq, int pos) {
	llama_memory_t mem = llama_get_memory(s->ctx);
	if (!llama_memory_seq_rm(mem, seq, pos, -1)) return false;
	if (s->guard <= 0) return true;
	if (!llama_memory_seq_rm(mem, s->guard, pos, -1)) return false;
	for (int q = 0; q < s->guard; q++) skerry_stage_guard(s, q, pos, -1);
	return true;
}
