// Package enginetest is what tests of computing packages share: the kernels
// built for this machine, and the default model's bundle.
package enginetest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/parity"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
	"skerry/appliance/engine"
	"skerry/build/testshort"
)

// Main runs a package's tests with the kernels that make built, and says which:
// measured by accident, the portable baseline takes several times as long.
func Main(m *testing.M) {
	k := engine.Init(kernelDir())
	fmt.Println("kernels:", k)
	os.Exit(m.Run())
}

// MainStandIn is Main with the stand-in for a GPU (cross/standin) that make standin built, on
// which nothing computes that is not told to.
func MainStandIn(m *testing.M) {
	os.Setenv("SKERRY_KERNELS", kernelDir()+":"+StandIn())
	k := engine.Init("")
	fmt.Println("kernels:", k, "GPU:", engine.Device().Name)
	os.Exit(m.Run())
}

// StandIn is the directory of the stand-in for a GPU.
func StandIn() string { return filepath.Join(bin(), "standin") }

// NeedsStandIn skips a test where there is none.
func NeedsStandIn(tb testing.TB) {
	tb.Helper()
	if _, err := os.Stat(filepath.Join(StandIn(), "libggml-standin.so")); err != nil {
		tb.Skip("there is no stand-in for a GPU: make standin builds it")
	}
}

func bin() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..", "bin")
}

func kernelDir() string { return cmp.Or(os.Getenv("SKERRY_KERNELS"), filepath.Join(bin(), "kernels")) }

var (
	once sync.Once
	dir  string
	fail error
)

// Bundle returns the default model split at its default exits, which is kept in
// the user's cache between runs. What computes with it is left out by -short.
func Bundle(tb testing.TB) *bundle.Bundle {
	tb.Helper()
	testshort.Skip(tb, "it computes with the default model")
	ctx := context.Background()
	once.Do(func() { dir, fail = prepare(ctx) })
	if fail != nil {
		tb.Fatalf("the default model is not to be had: %v", fail)
	}
	b, err := bundle.Open(ctx, dir)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func prepare(ctx context.Context) (string, error) {
	src, err := fetch.Model(ctx, "", fetch.Options{})
	if err != nil {
		return "", err
	}
	cache, err := fetch.CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "bundles", "test-"+fetch.DefaultName)
	if b, err := bundle.Open(ctx, dir); err == nil {
		return b.Dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	_, err = split.Model(ctx, src, dir, split.Options{Quantizer: parity.Quantize, Parity: parity.Check})
	return dir, err
}

// Tiny makes a model of random weights small enough to open a thousand times.
func Tiny(tb testing.TB) string {
	tb.Helper()
	return Synth(tb, "tiny")
}

// Synth makes a model of random weights of a named shape.
func Synth(tb testing.TB, shape string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), shape+".gguf")
	if err := synth.Write(context.Background(), shape, path, synth.Options{Seed: 1}); err != nil {
		tb.Fatal(err)
	}
	return path
}

// Open opens a stage and closes it with the test. Tests compute on one thread.
func Open(tb testing.TB, path string, o engine.Options) *engine.Stage {
	tb.Helper()
	if o.Threads == 0 {
		o.Threads = 1
	}
	s, err := engine.OpenStage(path, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}
