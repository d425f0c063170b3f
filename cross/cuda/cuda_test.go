package main

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"skerry/cross"
)

func TestFind(t *testing.T) {
	if all, err := find("all"); err != nil || len(all) != 3 {
		t.Errorf("all: %v, %v", all, err)
	}
	if two, err := find("jetpack7, amd64"); err != nil || len(two) != 2 || two[1].name != "amd64" {
		t.Errorf("two: %v, %v", two, err)
	}
	for _, names := range []string{"", "jetpack5", "amd64 jetpack"} {
		if _, err := find(names); err == nil || !strings.Contains(err.Error(), "jetpack6, jetpack7, amd64") {
			t.Errorf("%q: %v", names, err)
		}
	}
}

// The files of symbols name what each build is linked to, and among them what all of CUDA's
// programs need.
func TestExported(t *testing.T) {
	for _, target := range targets {
		libraries, err := exported(target.symbols)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"cuMemCreate", "__cudaRegisterFatBinary", "cublasGemmEx"} {
			if soname := target.libraries[i]; !slices.Contains(libraries[soname], want) {
				t.Errorf("%s: %s has no %s", target.symbols, soname, want)
			}
		}
		if len(libraries) != len(target.libraries) {
			t.Errorf("%s has %d libraries, %s needs %d", target.symbols, len(libraries), target.name, len(target.libraries))
		}
	}
}

// TestObject: an object is made anew when its source, a header of it, the flags or a compiler is
// another, and not when something else is.
func TestObject(t *testing.T) {
	module := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(module, "ml", "backend", "ggml", "ggml", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write("src/ggml-cuda/a.cu", "#include \"a.cuh\"\n# include <cuda.h>\nint a;\n")
	write("src/ggml-cuda/a.cuh", "#pragma once\n#include \"ggml.h\"\n#include \"a.cuh\"\n#include \"not-there.h\"\n")
	write("src/ggml-cuda/b.cuh", "int b;")
	write("include/ggml.h", "int g;")
	b := build{target: targets[0], module: module, compiler: "g++ 12", toolkit: toolkit{id: "12.4"}}
	object := func(b build) string {
		t.Helper()
		path, err := b.object(filepath.Join(b.ggml(), "src", "ggml-cuda", "a.cu"))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	before := object(b)
	write("src/ggml-cuda/b.cuh", "int c;")
	if object(b) != before {
		t.Error("a header that it does not include changes it")
	}
	other := b
	if other.compiler = "g++ 13"; object(other) == before {
		t.Error("another compiler does not change it")
	}
	other = b
	if other.toolkit.id = "12.6"; object(other) == before {
		t.Error("another toolkit does not change it")
	}
	other = b
	if other.target = targets[1]; object(other) == before {
		t.Error("another target does not change it")
	}
	write("include/ggml.h", "int h;")
	if object(b) == before {
		t.Error("a header of a header does not change it")
	}
}

// library is one that make cuda or make cuda-check has built.
type library struct {
	target
	path string
	part bool
}

func built(t *testing.T) (all []library) {
	t.Helper()
	for _, target := range targets {
		for _, dir := range []string{"", "check"} {
			if path := filepath.Join("..", "..", "build", "out", "cuda", dir, target.path()); exists(path) {
				all = append(all, library{target, path, dir != ""})
			}
		}
	}
	if len(all) == 0 {
		t.Skip("skipped: no library for GPUs is built: make cuda-check builds a part of each where CUDA's compiler is to be had, make cuda all of them")
	}
	return all
}

func (l library) name() string { return strings.TrimPrefix(l.path, "../../build/out/cuda/") }

var cubin = regexp.MustCompile(`\.sm_([0-9]+)\.(?:cubin|ptx)`)

// architectures are those that cuobjdump finds in a library, and in how many files each.
func (l library) architectures(t *testing.T, list string) map[string]int {
	t.Helper()
	dir, err := cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	tk, _, ok := haveToolkit(context.Background(), l.target, dir)
	if !ok {
		t.Skip("skipped: no cuobjdump, which make cuda-check fetches with the compiler")
	}
	out, err := exec.Command(tk.cuobjdump, list, l.path).CombinedOutput()
	if err != nil && len(bytes.TrimSpace(out)) > 0 && !bytes.Contains(out, []byte("No PTX")) && !bytes.Contains(out, []byte("does not contain")) {
		t.Fatalf("cuobjdump %s %s: %v: %s", list, l.path, err, out)
	}
	found := map[string]int{}
	for _, m := range cubin.FindAllSubmatch(out, -1) {
		found[string(m[1])]++
	}
	return found
}

// Every library is for the host it says, needs exactly what that system has, and has machine
// code for every GPU that it is for.
func TestLibraries(t *testing.T) {
	for _, l := range built(t) {
		t.Run(l.name(), func(t *testing.T) {
			f, err := elf.Open(l.path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if machine := map[string]elf.Machine{"arm64": elf.EM_AARCH64, "amd64": elf.EM_X86_64}[l.arch]; f.Machine != machine {
				t.Errorf("it is for %v, not %v", f.Machine, machine)
			}
			abi, err := cross.ReadABI(l.path)
			if err != nil {
				t.Fatal(err)
			}
			// Ubuntu 22.04, on which JetPack 6 is, and Debian 12 have the C++ library of gcc 12.
			floor := maps.Clone(cross.Floor)
			floor["GLIBCXX"] = "3.4.30"
			if above := abi.Above(floor); len(above) > 0 {
				t.Errorf("it needs %v, beyond the floor", above)
			}
			checkNeeded(t, l, abi.Libraries)
			lack, err := missing(l.path, l.symbols)
			if err != nil || len(lack) > 0 {
				t.Errorf("%s has not what it wants: %v %v", l.system, lack, err)
			}
			if !l.part {
				checkEntries(t, f)
			}
			cubins, ptx := l.architectures(t, "--list-elf"), l.architectures(t, "--list-ptx")
			for _, a := range l.cubins {
				if cubins[a] == 0 {
					t.Errorf("there is no code for sm_%s", a)
				}
			}
			for _, a := range l.ptx {
				if ptx[a] == 0 {
					t.Errorf("there is no PTX of compute_%s", a)
				}
			}
			if len(cubins) != len(l.cubins) || len(ptx) != len(l.ptx) {
				t.Errorf("it has code for %v and PTX of %v, and should have %v and %v", cubins, ptx, l.cubins, l.ptx)
			}
			info, err := f.DynString(elf.DT_RUNPATH)
			if err != nil || len(info) != 1 || info[0] != "$ORIGIN/.." {
				t.Errorf("it looks for ggml's base library in %v", info)
			}
			st, _ := os.Stat(l.path)
			t.Logf("%.1f MB, needs %v %v, code for sm_%v, PTX %v", float64(st.Size())/1e6, abi.Libraries, abi.Versions, cubins, ptx)
		})
	}
}

// checkNeeded compares with what the system has: all of CUDA's, and nothing else but ggml's base
// library and C++'s.
func checkNeeded(t *testing.T, l library, needed []string) {
	t.Helper()
	for _, soname := range l.libraries {
		if !slices.Contains(needed, soname) {
			t.Errorf("it is not linked to %s", soname)
		}
	}
	known := append([]string{"libggml-base.so.0", "libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}, l.libraries...)
	for _, soname := range needed {
		if !slices.Contains(known, soname) {
			t.Errorf("it needs %s, which %s has not", soname, l.system)
		}
	}
}

// checkEntries sees that the library has what a program finds a backend by.
func checkEntries(t *testing.T, f *elf.File) {
	t.Helper()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ggml_backend_init", "ggml_backend_cuda_reg"} {
		if !slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return s.Name == name && s.Section != elf.SHN_UNDEF }) {
			t.Errorf("it exports no %s", name)
		}
	}
}

// What is shipped depends on sources and compilers, not on where it was built.
func TestNoPaths(t *testing.T) {
	here, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range built(t) {
		data, err := os.ReadFile(l.path)
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{here, cache, "/tmp/"} {
			if i := bytes.Index(data, []byte(dir)); i >= 0 {
				t.Errorf("%s holds %q", l.name(), data[i:min(len(data), i+80)])
			}
		}
	}
}

// An altered package is refused.
func TestDigest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "some.whl")
	if err := os.WriteFile(path, []byte("altered"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := checkDigest(path, wheels["12.4"][0].sha256); err == nil || !strings.Contains(err.Error(), "altered") {
		t.Errorf("it is taken: %v", err)
	}
}
