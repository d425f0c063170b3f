package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"skerry/appliance/bench"
	"skerry/appliance/bundle"
)

// timedShape is what is measured beside the default model: a size that people run
// on boards, whose weights are far beyond any cache.
const timedShape = "llama-3.2-1b"

// defaultName is what the default model's report is under.
const defaultName = "SmolLM2-135M-Instruct"

// subjects prepares the models to measure. All that can be wrong about the exits
// is found before anything is fetched or written.
func (c *benchDecodeCmd) subjects(ctx context.Context, out *console, exits []int, threads int) ([]bench.Subject, error) {
	if c.Model != "" {
		return c.givenModel(ctx, out, exits, threads)
	}
	small, _ := bundle.ShapeNamed("smollm2-135m")
	big, _ := bundle.ShapeNamed(timedShape)
	if err := checkExits(defaultName, exits, small.Blocks); err != nil {
		return nil, err
	}
	if err := checkExits(timedShape, exits, big.Blocks); err != nil && !c.Quick {
		return nil, fmt.Errorf("%w, or leave it out with --quick", err)
	}
	first, err := defaultSubject(ctx, out, exits, threads)
	if err != nil || c.Quick {
		return []bench.Subject{first}, err
	}
	second, err := shapeSubject(ctx, out, big, exits, threads)
	return []bench.Subject{first, second}, err
}

// givenModel is a bundle of the user's, measured with its own exits, or with
// others in the cache.
func (c *benchDecodeCmd) givenModel(ctx context.Context, out *console, exits []int, threads int) ([]bench.Subject, error) {
	m, err := bundle.ReadManifest(c.Model)
	if err != nil {
		return nil, err
	}
	if err := checkExits(m.Name, exits, m.Blocks); err != nil {
		return nil, err
	}
	b, err := bundle.Open(ctx, c.Model)
	if err != nil {
		return nil, err
	}
	if _, ok := m.Stage(bundle.Unsplit); !ok {
		return nil, fmt.Errorf("%s: the whole model is not in the bundle, and there is nothing to compare with: split it without --no-unsplit", c.Model)
	}
	if exits != nil && !slices.Equal(exits, m.Exits) {
		b, err = benchBundle(ctx, out, m.Name, m.Source.SHA256+m.Type, exits, bundle.TypeKeep, func(*progress) (string, error) { return b.Path(bundle.Unsplit), nil })
		if err != nil {
			return nil, err
		}
	}
	return []bench.Subject{{Name: m.Name, Splits: []*bundle.Bundle{b}, Targets: bench.ChainTargets(),
		Batches: []int{2, 4, 8, 16, 32}, BatchThreads: []int{threads}}}, nil
}

// defaultSubject is the default model, with the deeper exit of its usual bundle
// beside those of the benchmark.
func defaultSubject(ctx context.Context, out *console, exits []int, threads int) (bench.Subject, error) {
	usual, err := defaultBundle(ctx, out)
	if err != nil {
		return bench.Subject{}, err
	}
	u, err := bundle.Open(ctx, usual)
	if err != nil {
		return bench.Subject{}, err
	}
	s := bench.Subject{Name: defaultName, Batches: []int{2, 4, 8, 16, 32}, Targets: bench.ChainTargets()}
	for n := 1; n <= threads; n *= 2 {
		s.BatchThreads = append(s.BatchThreads, n)
	}
	want := exits
	if want == nil {
		want = depthExits(u.Manifest.Blocks)
	}
	b, err := benchBundle(ctx, out, defaultName, u.Manifest.Source.SHA256, want, bundle.TypeAuto, func(p *progress) (string, error) { return fetch(ctx, p, "", "") })
	if err != nil {
		return s, err
	}
	s.Splits = []*bundle.Bundle{b}
	if last := u.Manifest.Exits[len(u.Manifest.Exits)-1]; exits == nil {
		s.Splits = append(s.Splits, u)
		s.Targets = append(s.Targets, bench.ExitTarget(fmt.Sprintf("exit after %d of %d with a shortlist over the full pass", last, u.Manifest.Blocks), last, 1.35))
	}
	return s, nil
}

// shapeSubject is a model of random weights, made once.
func shapeSubject(ctx context.Context, out *console, shape bundle.Shape, exits []int, threads int) (bench.Subject, error) {
	half := depthExits(shape.Blocks)
	if exits == nil {
		exits = half
	}
	const weights = bundle.TypeQ4_0
	b, err := benchBundle(ctx, out, timedShape, fmt.Sprintf("%+v %s", shape, weights), exits, bundle.TypeKeep, func(p *progress) (string, error) {
		dir, err := benchDir()
		if err != nil {
			return "", err
		}
		src := filepath.Join(dir, timedShape+".gguf")
		p.work = "synth"
		return src, bundle.Synth(ctx, timedShape, src, bundle.SynthOptions{Seed: 1, Type: weights, Progress: p.step})
	})
	targets := append(bench.ChainTargets(), bench.ExitTarget("exit at half depth with a shortlist over the full pass", half[1], 1.7))
	return bench.Subject{Name: timedShape, Splits: []*bundle.Bundle{b}, Batches: []int{4, 16}, BatchThreads: []int{threads}, Targets: targets}, err
}

func benchDir() (string, error) {
	cache, err := bundle.CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "bench")
	return dir, os.MkdirAll(dir, 0o755)
}

// benchBundle is a split in the cache, under the identity of its source and what
// was asked of it; it is made anew where it is missing or damaged. A source that
// lies in the benchmark's own directory is not kept.
func benchBundle(ctx context.Context, out *console, name, source string, exits []int, ty string, fetch func(*progress) (string, error)) (*bundle.Bundle, error) {
	root, err := benchDir()
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%d %s %v %s", splitVersion, source, exits, ty))
	dir := filepath.Join(root, fmt.Sprintf("%s-%s-%x", sanitized(name), strings.Trim(strings.ReplaceAll(fmt.Sprint(exits), " ", "-"), "[]"), key[:6]))
	if b, err := bundle.Open(ctx, dir); err == nil || ctx.Err() != nil {
		return b, ctx.Err()
	} else if !errors.Is(err, fs.ErrNotExist) {
		out.note("%s", oneLine(err))
	}
	p := newProgress(out, "fetch")
	defer p.done()
	src, err := fetch(p)
	if err != nil {
		return nil, err
	}
	if filepath.Dir(src) == root {
		defer os.Remove(src)
	}
	p.work = "split"
	if _, err := split(ctx, p, src, dir, bundle.Options{Exits: exits, Type: ty}); err != nil {
		return nil, err
	}
	return bundle.Open(ctx, dir)
}

// sanitized keeps what a file name may have everywhere.
func sanitized(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_' {
			return r
		}
		return '_'
	}, name[:min(len(name), 40)])
}

// depthExits are at a quarter and half of n blocks; in a model of two blocks, one.
func depthExits(n int) []int {
	quarter, half := max(1, int(math.Round(float64(n)/4))), int(math.Round(float64(n)/2))
	if half <= quarter {
		return []int{quarter}
	}
	return []int{quarter, half}
}

// checkExits refuses exits that a model of n blocks cannot have.
func checkExits(name string, exits []int, n int) error {
	if len(exits) > 2 {
		return usageError("--exits: %d exits: give one or two", len(exits))
	}
	for i, e := range exits {
		if e < 1 || e >= n {
			return usageError("--exits: %d is out of range: %s has %d blocks, choose 1 to %d", e, name, n, n-1)
		}
		if i > 0 && e <= exits[i-1] {
			return usageError("--exits: %d,%d do not ascend: give the earlier one first", exits[i-1], e)
		}
	}
	return nil
}
