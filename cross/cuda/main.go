// Command cuda builds libggml-cuda.so from the sources of the llama module, for the GPUs of
// Jetson boards and of clouds:
//
//	go run ./cross/cuda -module DIR -kernels build/out/{arch}/bin/kernels -out build/out/cuda jetpack6
//
// writes build/out/cuda/jetpack6/cuda12/libggml-cuda.so. The toolkit is this machine's where its
// version fits, else it is fetched from packages; it and every object are kept in the user's
// cache. With -check only a small part is compiled and linked for each, so that flags that do
// not work show, and one that a toolkit or a compiler is not to be had for is skipped; else that is an
// error.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	module := flag.String("module", "", "directory of the Go module with llama.cpp's sources")
	kernels := flag.String("kernels", "build/out/{arch}/bin/kernels", "where libggml-base.so.0 of each architecture is")
	out := flag.String("out", "build/out/cuda", "directory of the libraries")
	jobs := flag.Int("jobs", 1, "files compiled at a time; each takes up to a gigabyte of memory")
	check := flag.Bool("check", false, "compile and link only a small part of each")
	limit := flag.Duration("fetch-limit", time.Hour, "give up on a toolkit's packages after so long")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, options{*module, *kernels, *out, *jobs, *check, *limit}, strings.Join(flag.Args(), " "))
	if err != nil {
		say("%v", err)
		os.Exit(1)
	}
}

type options struct {
	module, kernels, out string
	jobs                 int
	check                bool
	limit                time.Duration
}

func run(ctx context.Context, o options, names string) error {
	chosen, err := find(names)
	if err != nil {
		return err
	}
	dir, err := cacheDir()
	if err != nil {
		return err
	}
	for _, t := range chosen {
		b := &build{target: t, module: o.module, cache: dir}
		err := b.run(ctx, o)
		if _, ok := errors.AsType[unavailable](err); ok && o.check {
			say("%s: skipped: %v", t.name, err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *build) run(ctx context.Context, o options) (err error) {
	t := b.target
	if b.cxx, b.compiler, err = hostCompiler(ctx, t); err != nil {
		return err
	}
	fetch, cancel := context.WithTimeoutCause(ctx, o.limit, unavailable{fmt.Errorf("the packages of CUDA %s took longer than %v to fetch", t.toolkit, o.limit)})
	defer cancel()
	if b.toolkit, err = openToolkit(fetch, t, b.cache); err != nil {
		if fetch.Err() != nil {
			return context.Cause(fetch)
		}
		return err
	}
	files, err := sources(b.ggml())
	if err != nil {
		return err
	}
	out := filepath.Join(o.out, t.path())
	if o.check {
		files, out = nil, filepath.Join(o.out, "check", t.path())
		for _, name := range t.part {
			files = append(files, filepath.Join(b.ggml(), "src", "ggml-cuda", name))
		}
	}
	objects, err := b.objects(ctx, files, o.jobs)
	if err != nil {
		return err
	}
	if err := b.link(ctx, objects, strings.ReplaceAll(o.kernels, "{arch}", t.arch), out, !o.check); err != nil {
		return err
	}
	lack, err := missing(out, t.symbols)
	if err != nil {
		return err
	}
	if len(lack) > 0 {
		return fmt.Errorf("%s wants what %s has not: %s", out, t.system, strings.Join(lack, " "))
	}
	info, err := os.Stat(out)
	if err != nil {
		return err
	}
	fmt.Printf("%s (%.1f MB) for %s\n", out, float64(info.Size())/1e6, t.system)
	return nil
}

// hostCompiler is the C++ compiler for the host of t.
func hostCompiler(ctx context.Context, t target) (cxx, version string, err error) {
	cxx = t.machine + "-linux-gnu-g++"
	if t.arch == runtime.GOARCH && os.Getenv("CXX") != "" {
		cxx = os.Getenv("CXX")
	}
	if cxx, err = exec.LookPath(cxx); err != nil {
		return "", "", unavailable{fmt.Errorf("%w: apt-get install g++-%s-linux-gnu", err, strings.ReplaceAll(t.machine, "_", "-"))}
	}
	out, err := exec.CommandContext(ctx, cxx, "--version").Output()
	first, _, _ := bytes.Cut(out, []byte("\n"))
	return cxx, string(first), err
}

// cacheDir is where toolkits and objects are kept.
func cacheDir() (string, error) {
	if dir := os.Getenv("SKERRY_CACHE"); dir != "" {
		return filepath.Join(dir, "cuda"), nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "skerry", "cuda"), err
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "cuda: "+format+"\n", args...) }

// lastLine of what a program has said.
func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
