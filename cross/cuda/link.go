package main

import (
	"bufio"
	"context"
	"debug/elf"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed symbols
var symbolFiles embed.FS

// exported reads a file of symbols: what each library exports, by soname.
func exported(name string) (map[string][]string, error) {
	f, err := symbolFiles.Open("symbols/" + name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	libraries, soname := map[string][]string{}, ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		switch line := lines.Text(); {
		case line == "" || line[0] == '#':
		case line[0] != ' ':
			soname = line
		default:
			libraries[soname] = append(libraries[soname], strings.TrimSpace(line))
		}
	}
	return libraries, nil
}

// stubs makes, in dir, libraries with the sonames and the symbols of those that the system
// has, without any code: what is linked against them finds the real ones there. It returns
// their paths.
func (b *build) stubs(ctx context.Context, dir string) (paths []string, err error) {
	libraries, err := exported(b.target.symbols)
	if err != nil {
		return nil, err
	}
	for _, soname := range b.target.libraries {
		if len(libraries[soname]) == 0 {
			return nil, fmt.Errorf("%s says nothing of %s", b.target.symbols, soname)
		}
		var text strings.Builder
		for _, symbol := range libraries[soname] {
			fmt.Fprintf(&text, "void %s(void) {}\n", symbol)
		}
		source, stub := filepath.Join(dir, soname+".stub.c"), filepath.Join(dir, soname)
		if err := os.WriteFile(source, []byte(text.String()), 0o644); err != nil {
			return nil, err
		}
		if err := b.host(ctx, "-x", "c", "-shared", "-fPIC", "-O0", "-w", "-nostdlib", "-Wl,-soname,"+soname, "-o", stub, source); err != nil {
			return nil, err
		}
		paths = append(paths, stub)
	}
	return paths, nil
}

// host runs the host's compiler.
func (b *build) host(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, b.cxx, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", b.cxx, err, out)
	}
	return nil
}

// link makes the library of objects; ggml's base library is one directory above it. With strict, every symbol must be of ggml's base
// library in kernels, of the system's CUDA or of the C++ library.
func (b *build) link(ctx context.Context, objects []string, kernels, out string, strict bool) error {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(out), ".link-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	stubs, err := b.stubs(ctx, work)
	if err != nil {
		return err
	}
	temporary := filepath.Join(work, "library")
	args := append([]string{"-shared", "-s", "-o", temporary, "-Wl,-rpath,$ORIGIN/..", "-Wl,--no-as-needed"}, objects...)
	args = append(args, stubs...)
	if strict {
		args = append(args, filepath.Join(kernels, "libggml-base.so.0"), "-Wl,-z,defs")
	}
	if err := b.host(ctx, append(args, "-Wl,--as-needed", "-ldl", "-lpthread")...); err != nil {
		return err
	}
	return os.Rename(temporary, out)
}

// missing are symbols of CUDA that the library at path wants and that the system's libraries,
// as listed, do not export.
func missing(path, symbols string) ([]string, error) {
	libraries, err := exported(symbols)
	if err != nil {
		return nil, err
	}
	have := map[string]bool{}
	for _, list := range libraries {
		for _, symbol := range list {
			have[symbol] = true
		}
	}
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	imported, err := f.ImportedSymbols()
	if err != nil {
		return nil, err
	}
	var lack []string
	for _, s := range imported {
		if strings.HasPrefix(strings.TrimPrefix(s.Name, "__"), "cu") && !have[s.Name] {
			lack = append(lack, s.Name)
		}
	}
	slices.Sort(lack)
	return lack, nil
}
