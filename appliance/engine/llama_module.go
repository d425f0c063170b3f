//go:build !system_llama

package engine

/*
#cgo CPPFLAGS: -I${SRCDIR}/.include/llama -I${SRCDIR}/.include/ggml
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"unsafe"

	_ "github.com/ollama/ollama/llama/llama.cpp/src" // links llama.cpp and ggml
)

// builtin names the kernels that no variant library brought.
const builtin = "baseline"

// moduleCommit is the commit of llama.cpp that the module's sources are of, with
// its own patches on top, as its llama/build-info.cpp says.
const moduleCommit = "ec98e2002"

// LlamaSource says where the llama.cpp linked into the program comes from.
func LlamaSource() string {
	const module = "github.com/ollama/ollama"
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, d := range b.Deps {
			if d.Path == module {
				return d.Path + "@" + d.Version
			}
		}
	}
	return module
}

// LlamaCommit is the upstream commit or release of that llama.cpp.
func LlamaCommit() string { return moduleCommit }

// kernelDir returns the directory of kernel libraries to load, dir if not empty,
// and "" with a reason where there is one that must not be used: variants of
// another ggml, as a system's libllama brings them, would corrupt memory.
func kernelDir(dir string) (string, string) {
	if dir == "" {
		dir = findKernels()
	}
	if dir == "" {
		return "", ""
	}
	c := C.CString(dir)
	defer C.free(unsafe.Pointer(c))
	if !C.skerry_same_ggml(c) {
		return "", fmt.Sprintf("the kernels in %s are not of the ggml in this program: not loaded", dir)
	}
	return dir, ""
}

// kernelDirs are where kernels may be, in the order of their preference.
func kernelDirs() []string {
	dirs := filepath.SplitList(os.Getenv("SKERRY_KERNELS"))
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		dirs = append(dirs, filepath.Join(filepath.Dir(exe), "kernels"), filepath.Join(filepath.Dir(exe), "..", "lib", "skerry", "kernels"))
	}
	return dirs
}

// gpuDirs are where libraries of a GPU may be, dir for one that was named.
func gpuDirs(dir string) []string { return append([]string{dir}, kernelDirs()...) }

func findKernels() string {
	for _, d := range kernelDirs() {
		if m, _ := filepath.Glob(filepath.Join(d, "libggml-cpu-*.so")); len(m) > 0 {
			return d
		}
	}
	return ""
}
