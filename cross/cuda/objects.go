package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// sources are the files of the library, as ggml's own build lists them without
// GGML_CUDA_FA_ALL_QUANTS: attention over a KV cache of f16, q8_0 or q4_0, the same for keys
// and values, is there, mixtures of them are not.
func sources(ggml string) (paths []string, err error) {
	const instances = "template-instances/"
	for _, pattern := range []string{
		"*.cu", instances + "fattn-tile*.cu", instances + "fattn-mma*.cu", instances + "mmq*.cu", instances + "mmf*.cu",
		instances + "fattn-vec*q4_0-q4_0.cu", instances + "fattn-vec*q8_0-q8_0.cu", instances + "fattn-vec*f16-f16.cu",
	} {
		found, err := filepath.Glob(filepath.Join(ggml, "src", "ggml-cuda", pattern))
		if err != nil {
			return nil, err
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s has no sources of ggml-cuda", ggml)
	}
	return paths, nil
}

// build is the work on one target.
type build struct {
	target   target
	toolkit  toolkit
	cxx      string // the host's compiler
	compiler string // what it says of itself
	module   string // directory of the Go module
	cache    string
}

func (b *build) ggml() string { return filepath.Join(b.module, "ml", "backend", "ggml", "ggml") }

func (b *build) roots() []string {
	return []string{filepath.Join(b.ggml(), "include"), filepath.Join(b.ggml(), "src")}
}

var quoted = regexp.MustCompile(`(?m)^\s*#\s*include\s*"([^"]+)"`)

// closure is a source and all of the module's headers that it may include, by path.
func (b *build) closure(source string, files map[string][]byte) error {
	if _, ok := files[source]; ok {
		return nil
	}
	text, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	files[source] = text
	for _, m := range quoted.FindAllSubmatch(text, -1) {
		for _, dir := range append([]string{filepath.Dir(source)}, b.roots()...) {
			path := filepath.Join(dir, string(m[1]))
			if _, err := os.Stat(path); err == nil {
				if err := b.closure(path, files); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// object is where the cache has what a source is compiled to: its name is a digest of the
// source, its headers, the flags and the compilers.
func (b *build) object(source string) (string, error) {
	files := map[string][]byte{}
	if err := b.closure(source, files); err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, b.toolkit.id, b.compiler, b.target.machine, b.target.flags())
	paths := make([]string, 0, len(files))
	for path := range files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		name, err := filepath.Rel(b.module, path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %x\n", name, sha256.Sum256(files[path]))
	}
	name := strings.TrimSuffix(filepath.Base(source), ".cu")
	return filepath.Join(b.cache, "objects", fmt.Sprintf("%s-%s-%s.o", b.target.name, name, hex.EncodeToString(h.Sum(nil))[:16])), nil
}

// objects compiles what the cache lacks, jobs at a time, and returns where all objects are. An
// interrupted build goes on where it was.
func (b *build) objects(ctx context.Context, sources []string, jobs int) ([]string, error) {
	all := make([]string, len(sources))
	var missing []int
	for i, source := range sources {
		object, err := b.object(source)
		if err != nil {
			return nil, err
		}
		if all[i] = object; !exists(object) {
			missing = append(missing, i)
		}
	}
	if err := os.MkdirAll(filepath.Join(b.cache, "objects"), 0o755); err != nil {
		return nil, err
	}
	p := progress{name: b.target.name, files: len(sources), start: time.Now()}
	for i, source := range sources {
		if p.total += weight(source); !slices.Contains(missing, i) {
			p.had, p.done = p.had+weight(source), p.done+1
		}
	}
	if len(missing) > 0 {
		say("%s: %d of %d files to compile, %d at a time", b.target.name, len(missing), len(sources), jobs)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, jobs))
	for _, i := range missing {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			start := time.Now()
			if err := b.compile(ctx, sources[i], all[i]); err != nil {
				return err
			}
			p.add(sources[i], time.Since(start))
			return nil
		})
	}
	return all, g.Wait()
}

// compile makes one object.
func (b *build) compile(ctx context.Context, source, object string) error {
	work, err := os.MkdirTemp(filepath.Dir(object), ".compile-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	temporary := filepath.Join(work, "object.o")
	args := append([]string{"-ccbin", b.cxx, "-Xcompiler", "-ffile-prefix-map=" + b.module + "=ollama"}, b.target.flags()...)
	for _, dir := range append(b.roots(), b.toolkit.include...) {
		args = append(args, "-I"+dir)
	}
	cmd := exec.CommandContext(ctx, b.toolkit.nvcc, append(args, "-c", source, "-o", temporary)...)
	cmd.Dir, cmd.Env = work, append(os.Environ(), "TMPDIR="+work, "NVCC_APPEND_FLAGS=", "NVCC_PREPEND_FLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s for %s: %w\n%s", filepath.Base(source), b.target.name, err, out)
	}
	return os.Rename(temporary, object)
}

// weight of a file among the others, about seconds for one architecture.
func weight(source string) float64 {
	name := filepath.Base(source)
	for _, w := range []struct {
		prefix  string
		seconds float64
	}{{"fattn-mma", 60}, {"mmq-instance", 40}, {"fattn-tile", 25}, {"fattn-vec", 40}, {"mmf", 25}, {"mmvq", 60}, {"ggml-cuda", 40}} {
		if strings.HasPrefix(name, w.prefix) {
			return w.seconds
		}
	}
	return 12
}

// progress says how far a build is.
type progress struct {
	mu          sync.Mutex
	name        string
	files, done int
	total, had  float64 // by weight
	made        float64
	start       time.Time
}

func (p *progress) add(source string, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	p.made += weight(source)
	left := time.Duration((p.total - p.had - p.made) / p.made * float64(time.Since(p.start)))
	say("%s: %d of %d, %s (%.0f s), %.0f min left", p.name, p.done, p.files, filepath.Base(source), took.Seconds(), left.Minutes())
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
