package split

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"
)

// SetDraft gives a bundle that has its unsplit model the draft that write writes, a whole GGUF,
// in place of any that it has. Where it fails the bundle is as it was. The caller holds the Lock.
func SetDraft(ctx context.Context, b *bundle.Bundle, name string, write func(io.Writer) error) error {
	if err := validName(name); err != nil {
		return err
	}
	whole, err := gguf.Open(b.Path(bundle.Unsplit))
	if err != nil {
		return err
	}
	defer whole.Close()
	path := b.Path(bundle.DraftModel)
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return disk.WriteError(fresh, err)
	}
	defer os.Remove(fresh) // nothing is there once it was renamed
	sum, _, err := disk.WriteFile(ctx, fresh, write)
	if err != nil {
		return err
	}
	small, err := gguf.Open(fresh)
	if err != nil {
		return err
	}
	defer small.Close()
	entry, err := describeDraft(whole, small, name)
	if err != nil {
		return err
	}
	entry.SHA256, entry.Source = sum, b.Manifest.Source.File
	next := *b.Manifest
	next.Format, next.Draft = max(next.Format, bundle.FormatDraft), entry
	if err := os.Rename(fresh, path); err != nil {
		return disk.WriteError(filepath.Base(path), err)
	}
	if err := next.Write(b.Dir); err != nil {
		return err
	}
	b.Manifest = &next
	return nil
}
