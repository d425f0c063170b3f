// Package choose finds the bundle that a command is to use: the one that is named, the one
// that is made of a GGUF, or the default model's. What is fetched and split for it shows on
// the terminal.
package choose

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/cli"
)

// Default returns the directory of the default model's bundle, fetching
// and splitting it if need be.
func Default(ctx context.Context, out *cli.Console) (string, error) {
	cache, err := fetch.CacheDir()
	if err != nil {
		return "", err
	}
	dir := prepare.DefaultDir(cache)
	if _, err := os.Stat(filepath.Join(dir, bundle.ManifestFile)); err != nil {
		out.Note("preparing the default model, once")
	}
	p := cli.NewProgress(out, "fetch")
	defer p.Done()
	return prepare.Default(ctx, p.Step, p.StepOf("split"))
}

// Bundle is the directory of the bundle that a user gave, or of that which is made of
// the GGUF he gave; without a path it is the default model's.
func Bundle(ctx context.Context, out *cli.Console, path string, split bool) (string, error) {
	if path == "" {
		return Default(ctx, out)
	}
	p := cli.NewProgress(out, "split")
	defer p.Done()
	return prepare.Path(ctx, path, split, p.Step)
}

// Whole opens the bundle of a directory, without one the default model's, and insists
// on the whole model in it.
func Whole(ctx context.Context, out *cli.Console, dir string) (*bundle.Bundle, error) {
	if dir == "" {
		var err error
		if dir, err = Default(ctx, out); err != nil {
			return nil, err
		}
	}
	m, err := bundle.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	if _, ok := m.Stage(bundle.Unsplit); !ok {
		return nil, fmt.Errorf("%s: the whole model is not in the bundle, and there is nothing to compare with: split it without --no-unsplit", dir)
	}
	return bundle.Open(ctx, dir)
}
