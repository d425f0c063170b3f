package bundle

import (
	"fmt"
	"os"
	"path/filepath"
)

// Served lists the files that others may have of the bundle. Nothing is listed
// where one is missing, or not of its size, that a board can not do without.
func (b *Bundle) Served() []ServedFile {
	files, lacks := b.served()
	if lacks != nil {
		return nil
	}
	return files
}

// Unserved is why nothing of the bundle is served, nil where Served lists its files.
func (b *Bundle) Unserved() error {
	_, lacks := b.served()
	return lacks
}

func (b *Bundle) served() (files []ServedFile, lacks error) {
	add := func(name string, bytes int64, extra bool) {
		path := filepath.Join(b.Dir, name)
		st, err := os.Stat(path)
		switch {
		case err == nil && st.Mode().IsRegular() && (bytes == 0 || st.Size() == bytes):
			files = append(files, ServedFile{name, path, st.Size(), extra})
		case extra || lacks != nil:
		case err != nil:
			lacks = fmt.Errorf("%s is %w: copy it there, or split the model again", path, ErrMissing)
		default:
			lacks = fmt.Errorf("%s is %w: its size is not the manifest's: copy it anew, or split the model again", path, ErrCorrupt)
		}
	}
	add(ManifestFile, 0, false)
	for _, s := range b.Manifest.Stages {
		add(s.File, s.Bytes, s.Role == Cloud || s.Role == Unsplit)
	}
	if d := b.Manifest.Draft; d != nil {
		add(d.File, d.Bytes, false)
	}
	for _, h := range b.Manifest.Heads {
		if h.Kind == HeadFitted {
			add(h.File, h.Bytes, false)
		}
	}
	return files, lacks
}

// ServedFile is one file of a bundle that others may have.
type ServedFile struct {
	Name, Path string
	Bytes      int64
	Extra      bool // a board can do without it
}
