package split

import (
	"context"
	"io"
	"path/filepath"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"
)

// projectorSource is the file that becomes the bundle's projector.
type projectorSource struct {
	f     *gguf.File
	path  string
	entry *bundle.Projector // but for the sha256
}

// openProjector checks the projector at path for a model of a width.
func openProjector(path string, width int) (*projectorSource, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, disk.OpenError(path, err)
	}
	f, entry, err := bundle.OpenProjector(real, width)
	if err != nil {
		return nil, disk.OpenError(path, err)
	}
	return &projectorSource{f: f, path: real, entry: entry}, nil
}

// place puts the projector into dir, unchanged, and fills in its sha256.
func (p *projectorSource) place(ctx context.Context, dir string, report func(done int64)) (err error) {
	if p.entry.SHA256, err = disk.HashReader(ctx, io.NewSectionReader(p.f, 0, p.f.Size), report); err != nil {
		return err
	}
	return disk.Clone(ctx, p.path, filepath.Join(dir, p.entry.File))
}
