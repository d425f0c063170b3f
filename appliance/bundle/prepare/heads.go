package prepare

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"io/fs"
	"slices"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
)

// The fitted exit heads that the program carries, so that nobody has to fit those of the
// default model before the first answer: sets as bundle.WriteHeads writes them.
//
//go:embed heads
var carried embed.FS

// TakeHeads gives the bundle in dir the fitted exit heads that the program carries for its
// model and its exits. A bundle that has fitted heads stays as it is, and so does one for
// which there are none.
func TakeHeads(ctx context.Context, dir string) error { return takeHeads(ctx, dir, carried) }

// tryHeads is TakeHeads where the bundle will do without them: the exits are then not
// fitted, as the status says, and the next start tries again. It returns the context's error
// alone.
func tryHeads(ctx context.Context, dir string) error {
	if err := TakeHeads(ctx, dir); err != nil {
		return ctx.Err()
	}
	return nil
}

func isFitted(h bundle.Head) bool { return h.Kind != bundle.HeadModel }

func takeHeads(ctx context.Context, dir string, sets fs.FS) error {
	m, err := bundle.ReadManifest(dir)
	if err != nil || slices.ContainsFunc(m.Heads, isFitted) {
		return err
	}
	names, err := fs.Glob(sets, "heads/*.zip")
	if err != nil || len(names) == 0 {
		return err
	}
	release, err := disk.Lock(dir)
	if errors.Is(err, disk.ErrBusy) { // another process is about to write the bundle
		return nil
	}
	if err != nil {
		return err
	}
	defer release()
	m, err = bundle.ReadManifest(dir) // another process may have fitted heads meanwhile
	if err != nil || slices.ContainsFunc(m.Heads, isFitted) {
		return err
	}
	b := &bundle.Bundle{Dir: dir, Manifest: m}
	for _, name := range names {
		set, err := fs.ReadFile(sets, name)
		if err != nil {
			return err
		}
		if err := b.TakeHeads(ctx, bytes.NewReader(set), int64(len(set))); !errors.Is(err, bundle.ErrForeign) {
			return err
		}
	}
	return nil
}
