package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// target is one build of the library: for whom it is, what compiles it, and what it may need
// of the system it is put on.
type target struct {
	name string
	// system says in words what it is for.
	system string
	// arch is Debian's name of the host's architecture, machine the compiler's.
	arch, machine string
	// toolkit is the version of CUDA that it is built with; newest is the newest of a toolkit
	// on this machine that is taken in its place, since the system's libraries are of that.
	toolkit, newest string
	// cubins are the architectures that there is machine code for, as "87"; ptx are those
	// whose code the driver compiles for what is newer.
	cubins, ptx []string
	// libraries are the sonames of CUDA's that it is linked to, as the system has them.
	libraries []string
	// symbols is the file of what they export.
	symbols string
	// part are the files that make cuda-check compiles, in seconds: ggml-cuda.cu calls nearly
	// all that is called of CUDA's libraries.
	part []string
}

var targets = []target{
	{
		name: "jetpack6", system: "JetPack 6 (Orin)", arch: "arm64", machine: "aarch64", toolkit: "12.4", newest: "12.6",
		cubins: []string{"87"}, libraries: []string{"libcuda.so.1", "libcudart.so.12", "libcublas.so.12"}, symbols: "cuda-12.6-arm64.txt",
		part: []string{"scale.cu", "ggml-cuda.cu"},
	},
	{
		name: "jetpack7", system: "JetPack 7 (Orin and Thor)", arch: "arm64", machine: "aarch64", toolkit: "13.2", newest: "13.2",
		cubins: []string{"87", "110"}, libraries: []string{"libcuda.so.1", "libcudart.so.13", "libcublas.so.13"}, symbols: "cuda-13.2-arm64.txt",
		part: []string{"scale.cu", "ggml-cuda.cu"},
	},
	{
		name: "amd64", system: "clouds", arch: "amd64", machine: "x86_64", toolkit: "12.4", newest: "12.4",
		cubins: []string{"75", "80", "86", "89", "90"}, ptx: []string{"90"},
		libraries: []string{"libcuda.so.1", "libcudart.so.12", "libcublas.so.12"}, symbols: "cuda-12.4.txt",
		part: []string{"scale.cu"},
	},
}

// find returns the targets with these names, with spaces or commas between; all for "all".
func find(names string) ([]target, error) {
	if names == "all" {
		return targets, nil
	}
	var found []target
	for _, name := range strings.FieldsFunc(names, func(r rune) bool { return r == ' ' || r == ',' }) {
		i := slices.IndexFunc(targets, func(t target) bool { return t.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no build %q: name some of jetpack6, jetpack7, amd64, or all", name)
		}
		found = append(found, targets[i])
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no build is named: name some of jetpack6, jetpack7, amd64, or all")
	}
	return found, nil
}

// path of the library below the directory of all: the program looks for libraries of a GPU in
// directories of this name beside the CPU's kernels.
func (t target) path() string {
	major, _, _ := strings.Cut(t.toolkit, ".")
	return filepath.Join(t.name, "cuda"+major, "libggml-cuda.so")
}

// gencode are nvcc's options for the architectures.
func (t target) gencode() (flags []string) {
	for _, a := range t.cubins {
		flags = append(flags, "-gencode", fmt.Sprintf("arch=compute_%s,code=sm_%s", a, a))
	}
	for _, a := range t.ptx {
		flags = append(flags, "-gencode", fmt.Sprintf("arch=compute_%s,code=compute_%s", a, a))
	}
	return flags
}

// flags that nvcc compiles a file with, beside where it finds headers: those that ggml's own
// build has. -use_fast_math is what ggml's kernels are written for.
func (t target) flags() []string {
	flags := []string{
		"-std=c++17", "-O3", "-use_fast_math", "-extended-lambda", "-Wno-deprecated-gpu-targets", "-Xcompiler", "-fPIC,-w", "-w",
		"-DNDEBUG", "-DGGML_BACKEND_DL", "-DGGML_BACKEND_BUILD", "-DGGML_BACKEND_SHARED", "-DGGML_SHARED",
		"-DGGML_VERSION=0x0", "-DGGML_COMMIT=0x0", "-DGGML_SCHED_MAX_COPIES=4", "-DGGML_CUDA_PEER_MAX_BATCH_SIZE=128", "-DGGML_CUDA_USE_GRAPHS",
	}
	return append(append(flags, "-Xfatbin", "-compress-all"), t.gencode()...)
}
