package update

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/update/manifest"
)

// ArchiveSuffix is how the name of an update in one file ends. It is a tar archive: the
// manifest, its signature, and the files that the manifest lists, by the same names.
const ArchiveSuffix = ".skerry-update"

// archiveSource is an update in one file.
type archiveSource struct{ path, cache string }

// each calls do with the regular files of the archive, until do says that it has enough or
// fails.
func (a archiveSource) each(do func(name string, size int64, r io.Reader) (enough bool, err error)) error {
	f, err := os.Open(a.path)
	if err != nil {
		return disk.OpenError(a.path, err)
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w (%w): copy the update again", a.path, ErrDamaged, err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if enough, err := do(h.Name, h.Size, r); enough || err != nil {
			return err
		}
	}
}

// Manifest reads the first two files.
func (a archiveSource) Manifest(context.Context) (text, signature []byte, err error) {
	n := 0
	err = a.each(func(name string, size int64, r io.Reader) (bool, error) {
		n++
		to, most := &text, int64(manifest.MaxSize)
		switch name {
		case manifest.File:
		case manifest.SignatureFile:
			to, most = &signature, manifest.MaxSignature
		default:
			return true, nil
		}
		if size > most {
			return false, fmt.Errorf("%s: its %s is larger than %d bytes: fetch the update again", a.path, name, most)
		}
		*to, err = io.ReadAll(r)
		if err != nil {
			err = fmt.Errorf("%s: %w (%w): copy the update again", a.path, ErrDamaged, err)
		}
		return n == 2, err
	})
	if err == nil && text == nil {
		err = fmt.Errorf("%s: it does not begin with %s: it is no update", a.path, manifest.File)
	}
	return text, signature, err
}

// Files are extracted into the cache.
func (a archiveSource) Files(ctx context.Context, files []manifest.Entry, report func(step string, done, total int64)) ([]string, error) {
	total, done := int64(0), int64(0)
	index := map[string]int{}
	for i, f := range files {
		total += f.Size
		index[f.Name] = i
	}
	if err := os.RemoveAll(a.cache); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(a.cache, 0o755); err != nil {
		return nil, disk.WriteError(a.cache, err)
	}
	if err := disk.CheckSpace(a.cache, total); err != nil {
		return nil, err
	}
	paths := make([]string, len(files))
	left := len(files)
	err := a.each(func(name string, size int64, r io.Reader) (bool, error) {
		i, listed := index[name]
		if !listed || paths[i] != "" {
			return false, nil
		}
		if size != files[i].Size {
			return false, fmt.Errorf("%s: %w: its %s has %d bytes, not %d: copy the update again", a.path, ErrDamaged, name, size, files[i].Size)
		}
		paths[i] = filepath.Join(a.cache, "file-"+strconv.Itoa(i))
		err := extract(ctx, paths[i], r, func(n int64) { report("unpack", done+n, total) })
		done += size
		left--
		return left == 0, err
	})
	if err == nil && left > 0 {
		err = fmt.Errorf("%s: %w: %d of its %d files are missing: copy the update again", a.path, ErrDamaged, left, len(files))
	}
	return paths, err
}

func extract(ctx context.Context, path string, r io.Reader, report func(int64)) error {
	f, err := os.Create(path)
	if err != nil {
		return disk.WriteError(path, err)
	}
	_, err = io.Copy(disk.Metered(ctx, f, report), r)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("it ends too early: %w: copy the update again", ErrDamaged)
	}
	return disk.WriteError(path, errors.Join(err, f.Close()))
}
