package decode

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
	"skerry/appliance/status"
)

// timedShape is what is measured beside the default model: a size that people run
// on boards, whose weights are far beyond any cache.
const timedShape = "llama-3.2-1b"

// defaultName is what the default model's report is under.
const defaultName = "SmolLM2-135M-Instruct"

// Choice is which models are measured.
type Choice struct {
	Dir     string // a bundle; "" for the default model and random weights of timedShape
	Quick   bool   // leaves timedShape out
	Exits   []int  // nil: the bundle's own, or a quarter and half of the depth
	Threads int
	// Steps shows the steps of a work, as "split".
	Steps func(work string) prepare.Step
	// Note is told of what is made anew.
	Note func(format string, args ...any)
}

// Prepare returns the models, fetched and split where they are not yet. All that can be
// wrong about the exits, a *prepare.ExitsError, is found before anything is fetched or
// written.
func (c Choice) Prepare(ctx context.Context) ([]Model, error) {
	if c.Dir != "" {
		m, err := c.given(ctx)
		return []Model{m}, err
	}
	small, _ := synth.ShapeNamed("smollm2-135m")
	big, _ := synth.ShapeNamed(timedShape)
	if err := prepare.CheckExits(defaultName, c.Exits, small.Blocks); err != nil {
		return nil, err
	}
	if err := prepare.CheckExits(timedShape, c.Exits, big.Blocks); err != nil && !c.Quick {
		return nil, fmt.Errorf("%w, or leave it out with --quick", err)
	}
	first, err := c.standard(ctx)
	if err != nil || c.Quick {
		return []Model{first}, err
	}
	second, err := c.random(ctx, big)
	return []Model{first, second}, err
}

// given is a bundle of the user's, measured with its own exits, or with others in the
// cache.
func (c Choice) given(ctx context.Context) (none Model, err error) {
	m, err := bundle.ReadManifest(c.Dir)
	if err != nil {
		return none, err
	}
	if err := prepare.CheckExits(m.Name, c.Exits, m.Blocks); err != nil {
		return none, err
	}
	b, err := bundle.Open(ctx, c.Dir)
	if err != nil {
		return none, err
	}
	if _, ok := m.Stage(bundle.Unsplit); !ok {
		return none, fmt.Errorf("%s: the whole model is not in the bundle, and there is nothing to compare with: split it without --no-unsplit", c.Dir)
	}
	if c.Exits != nil && !slices.Equal(c.Exits, m.Exits) {
		b, err = c.cached(ctx, m.Name, m.Source.SHA256+m.Type, c.Exits, split.TypeKeep, func() (string, error) { return b.Path(bundle.Unsplit), nil })
		if err != nil {
			return none, err
		}
	}
	return Model{Name: m.Name, Splits: []*bundle.Bundle{b}, Targets: ChainTargets(),
		Batches: []int{2, 4, 8, 16, 32}, BatchThreads: []int{c.Threads}}, nil
}

// standard is the default model, with the deeper exit of its usual bundle beside those of
// the benchmark.
func (c Choice) standard(ctx context.Context) (none Model, err error) {
	usual, err := prepare.Default(ctx, c.Steps("fetch"), c.Steps("split"))
	if err != nil {
		return none, err
	}
	u, err := bundle.Open(ctx, usual)
	if err != nil {
		return none, err
	}
	m := Model{Name: defaultName, Batches: []int{2, 4, 8, 16, 32}, Targets: ChainTargets()}
	for n := 1; n <= c.Threads; n *= 2 {
		m.BatchThreads = append(m.BatchThreads, n)
	}
	want := c.Exits
	if want == nil {
		want = prepare.QuarterAndHalf(u.Manifest.Blocks)
	}
	b, err := c.cached(ctx, defaultName, u.Manifest.Source.SHA256, want, split.TypeAuto, func() (string, error) {
		return fetch.Model(ctx, "", fetch.Options{Progress: c.Steps("fetch")})
	})
	if err != nil {
		return m, err
	}
	m.Splits = []*bundle.Bundle{b}
	if last := u.Manifest.Exits[len(u.Manifest.Exits)-1]; c.Exits == nil {
		m.Splits = append(m.Splits, u)
		m.Targets = append(m.Targets, ExitTarget(fmt.Sprintf("exit after %d of %d with a shortlist over the full pass", last, u.Manifest.Blocks), last, 1.35))
	}
	return m, nil
}

// random is a model of random weights, made once.
func (c Choice) random(ctx context.Context, shape synth.Shape) (Model, error) {
	half := prepare.QuarterAndHalf(shape.Blocks)
	exits := c.Exits
	if exits == nil {
		exits = half
	}
	const weights = split.TypeQ4_0
	b, err := c.cached(ctx, timedShape, fmt.Sprintf("%+v %s", shape, weights), exits, split.TypeKeep, func() (string, error) {
		dir, err := cacheDir()
		if err != nil {
			return "", err
		}
		src := filepath.Join(dir, timedShape+".gguf")
		return src, synth.Write(ctx, timedShape, src, synth.Options{Seed: 1, Type: weights, Progress: c.Steps("synth")})
	})
	targets := append(ChainTargets(), ExitTarget("exit at half depth with a shortlist over the full pass", half[1], 1.7))
	return Model{Name: timedShape, Splits: []*bundle.Bundle{b}, Batches: []int{4, 16}, BatchThreads: []int{c.Threads}, Targets: targets}, err
}

// cacheDir holds the bundles that are measured alone.
func cacheDir() (string, error) {
	cache, err := fetch.CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "bench")
	return dir, os.MkdirAll(dir, 0o755)
}

// cached is a split in the cache, under the identity of its source and what was asked of
// it; it is made anew where it is missing or damaged. A source that lies in the
// benchmark's own directory is not kept.
func (c Choice) cached(ctx context.Context, name, source string, exits []int, ty string, fetch func() (string, error)) (*bundle.Bundle, error) {
	root, err := cacheDir()
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%d %s %v %s", prepare.Version, source, exits, ty))
	dir := filepath.Join(root, fmt.Sprintf("%s-%s-%x", prepare.FileName(name), strings.Trim(strings.ReplaceAll(fmt.Sprint(exits), " ", "-"), "[]"), key[:6]))
	if b, err := bundle.Open(ctx, dir); err == nil || ctx.Err() != nil {
		return b, ctx.Err()
	} else if !errors.Is(err, fs.ErrNotExist) {
		c.Note("%s", status.OneLine(err))
	}
	src, err := fetch()
	if err != nil {
		return nil, err
	}
	if filepath.Dir(src) == root {
		defer os.Remove(src)
	}
	if _, err := prepare.Split(ctx, src, dir, split.Options{Exits: exits, Type: ty}, c.Steps("split")); err != nil {
		return nil, err
	}
	return bundle.Open(ctx, dir)
}
