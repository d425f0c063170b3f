// Package engine computes stages: contiguous ranges of transformer blocks, each
// a llama.cpp context over a sliced GGUF with its own KV cache and exit head.
//
// It is the only package that knows where llama.cpp and ggml come from (the
// module github.com/ollama/ollama, or with -tags system_llama the installed
// libllama that pkg-config names). Of cgo there is one other package,
// bundle/train/matrix, whose C is its own. A stage takes tokens or hidden states
// [n][n_embd]float32 at explicit positions and returns the residual stream after
// its last block, logits, or both. The hidden state is copied out by llama.cpp's
// eval callback at the node "l_out-<last>"; returning false there ends the graph
// before norm and LM head, so that a skipped exit costs nothing.
//
// All functions return errors; none panics on bad input. The CPU kernels are
// chosen at run time by Init among variants built from the same sources.
//
// Layers of a stage may be on a GPU, if there is a library for one (Device). The
// graph then is in several parts, of which the callback ends those behind the tap
// after a node each. Such a stage keeps what its sequences were fed: where the GPU
// fails it is opened once more for the CPU, and computes that again.
package engine
