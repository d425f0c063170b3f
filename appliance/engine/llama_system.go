//go:build system_llama

// The Go build cache does not look at what pkg-config says: after another
// libllama was installed, build with -a or with other CGO_CPPFLAGS.

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

// LlamaCommit is the release of that llama.cpp and of its ggml, with the commit
// where it was built from a repository, as "0.5.0, ggml 0.25.1 (0123abc)".
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
	// Debian puts them below lib/ggml, cmake --install into bin.
	for _, place := range []string{".", "ggml", "ggml/*", "../bin"} {
		found, _ := filepath.Glob(filepath.Join(lib, place, "libggml-cpu*.so"))
		if len(found) > 0 {
			return filepath.Dir(found[0]), ""
		}
	}
	return "", "no CPU kernels beside " + lib + ": install those of its ggml"
}

// gpuDirs are where libraries of a GPU may be: beside the other kernels of that ggml.
func gpuDirs(dir string) []string {
	if dir == "" {
		dir = filepath.Dir(cString(func(b *C.char, n C.size_t) { C.skerry_llama_path(b, n) }))
	}
	return []string{dir}
}
