package engine

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"
)

// Kernels says which CPU kernels compute.
type Kernels struct {
	// Variant is the kernel library's name, as "icelake" or "armv8.2_2", or
	// "baseline" for the portable ones linked into the program, "installed" for
	// those of a system's ggml without variants.
	Variant string `json:"variant"`
	// Path is the library's file; empty for the baseline.
	Path string `json:"path,omitempty"`
	// Features are the instruction sets the kernels were built with, as
	// "AVX512_VNNI", "DOTPROD" or "SVE_CNT=16" (bytes of a vector); REPACK among
	// them means that weights are re-ordered for them at load.
	Features []string `json:"features"`
	// Devices lists what ggml can compute on, as "CPU (Cortex-A76)".
	Devices []string `json:"devices"`
	// Refused says why kernels that were found are not in use; empty if none were.
	Refused string `json:"refused,omitempty"`
}

// Baseline reports whether the portable kernels are in use, which decode about
// half and prefill about a seventh as fast as those built for the processor.
func (k Kernels) Baseline() bool { return k.Variant == "baseline" }

// String is one line for people, as "icelake (AVX512 AVX512_VNNI REPACK)".
func (k Kernels) String() string {
	return k.Variant + " (" + strings.Join(k.Features, " ") + ")"
}

var (
	initOnce sync.Once
	kernels  Kernels
)

// Init loads the best CPU kernel variant among the libraries in dir and starts
// llama.cpp. With dir empty it looks in the directories that $SKERRY_KERNELS lists,
// then beside the program (kernels, ../lib/skerry/kernels). In all of these and in
// directories cuda* below them it then looks for a library that computes on a GPU:
// Device says what came of it. The first call decides for the life of the
// process; every later one returns what it chose. Where no library fits the
// processor the portable baseline stays, and the result says so. A program built
// with -tags system_llama takes only the kernels of the libllama it is linked
// with.
func Init(dir string) Kernels {
	initOnce.Do(func() {
		dir, refused := kernelDir(dir)
		var cdir *C.char
		if dir != "" {
			cdir = C.CString(dir)
			defer C.free(unsafe.Pointer(cdir))
		}
		C.skerry_init(cdir, C.bool(builtin == "installed"))
		openGPU(gpuDirs(dir), "/")
		kernels = describeKernels()
		kernels.Refused = refused
	})
	return kernels
}

func describeKernels() Kernels {
	k := Kernels{Variant: builtin}
	path := cString(func(b *C.char, n C.size_t) { C.skerry_kernel_path(b, n) })
	if name, ok := strings.CutPrefix(filepath.Base(path), "libggml-cpu-"); ok {
		k.Variant, k.Path = strings.TrimSuffix(name, ".so"), path
	}
	k.Features = parseFeatures(cString(func(b *C.char, n C.size_t) { C.skerry_kernel_features(b, n) }))
	if d := cString(func(b *C.char, n C.size_t) { C.skerry_device_list(b, n) }); d != "" {
		k.Devices = strings.Split(d, "\n")
	}
	return k
}

// parseFeatures reads "NEON=1;SVE_CNT=16;SME=0". A feature that is there goes by
// its name, one that is a quantity keeps it.
func parseFeatures(list string) (features []string) {
	for f := range strings.SplitSeq(list, ";") {
		switch name, value, ok := strings.Cut(f, "="); {
		case !ok || value == "0":
		case value == "1":
			features = append(features, name)
		default:
			features = append(features, f)
		}
	}
	return features
}

// cString returns what fill wrote into a buffer.
func cString(fill func(*C.char, C.size_t)) string {
	var buf [2048]C.char
	fill(&buf[0], C.size_t(len(buf)))
	return C.GoString(&buf[0])
}

// lastError makes an error of what llama.cpp logged since the last call, its
// first line, or fallback where it logged nothing.
func lastError(fallback string) error {
	s := cString(func(b *C.char, n C.size_t) { C.skerry_last_error(b, n) })
	if line := firstLine(s); line != "" {
		return errors.New(line)
	}
	return errors.New(fallback)
}

// firstLine is the first line of a text.
func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

var errClosed = errors.New("stage is closed")

func errorf(path, format string, args ...any) error {
	return fmt.Errorf("%s: "+format, append([]any{filepath.Base(path)}, args...)...)
}
