//go:build system_llama

package engine

/*
#cgo pkg-config: llama
#cgo LDFLAGS: -ldl
#include "shim.h"
*/
import "C"

import "path/filepath"

// builtin names the kernels that no variant library brought.
const builtin = "installed"

// LlamaSource says where the llama.cpp linked with the program comes from.
func LlamaSource() string {
	return "system libllama in " + filepath.Dir(cString(func(b *C.char, n C.size_t) { C.skerry_llama_path(b, n) }))
}

// LlamaCommit is the release of that llama.cpp, and the commit or build that its
// ggml names.
func LlamaCommit() string {
	return cString(func(b *C.char, n C.size_t) { C.skerry_llama_version(b, n) })
}

// kernelDir returns where the installed ggml's own variants lie, "" where its CPU
// kernels are linked in. The directories of the module's kernels are not asked
// for, whatever dir or $SKERRY_KERNELS says: they are of another ggml.
func kernelDir(string) (string, string) {
	if C.skerry_has_cpu() {
		return "", ""
	}
	lib := filepath.Dir(cString(func(b *C.char, n C.size_t) { C.skerry_llama_path(b, n) }))
	for _, below := range []string{".", "ggml", "ggml/*"} {
		found, _ := filepath.Glob(filepath.Join(lib, below, "libggml-cpu*.so"))
		if len(found) > 0 {
			return filepath.Dir(found[0]), ""
		}
	}
	return "", "no CPU kernels beside " + lib + ": install those of its ggml"
}
