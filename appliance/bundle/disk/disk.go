// Package disk writes the files and directories that models and bundles are made of: each
// is whole or not there, one process at a time writes it, and what stands in the way is
// said with what to do.
package disk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"skerry/appliance/fserr"
	"skerry/appliance/status"
)

// spare is kept free beyond what the files need, for directories and metadata.
const spare = 1 << 20

// OpenError says what to do about a file that cannot be opened.
func OpenError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w: check the path, or fetch a model with skerry model fetch", path, fs.ErrNotExist)
	case errors.Is(err, fs.ErrPermission):
		return fserr.Explain(&fs.PathError{Op: "open", Path: path, Err: syscall.EACCES}, path, "")
	}
	return err
}

// WriteError says what to do where a disk is full or not to be written.
func WriteError(path string, err error) error {
	return fserr.Explain(err, path, "choose another directory")
}

// CheckSpace fails if the file system of dir has less than need bytes free.
func CheckSpace(dir string, need int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil // not to be known here: writing will tell
	}
	free := int64(min(st.Bavail, 1<<40)) * st.Bsize
	if free < need+spare {
		return fserr.New(fmt.Errorf("%s: %w: %s are needed, %s are free: free some space or choose another directory",
			dir, syscall.ENOSPC, status.Bytes(need+spare), status.Bytes(free)))
	}
	return nil
}

// SyncDir makes what was created, renamed or removed in dir last.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// WriteFile creates path, has fill write it, syncs it, and returns its sha256
// and bytes.
func WriteFile(ctx context.Context, path string, fill func(io.Writer) error) (sum string, n int64, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	if err := fill(Metered(ctx, io.MultiWriter(f, h), func(done int64) { n = done })); err != nil {
		return "", 0, WriteError(filepath.Base(path), err)
	}
	if err := f.Sync(); err != nil {
		return "", 0, WriteError(filepath.Base(path), err)
	}
	return hex.EncodeToString(h.Sum(nil)), n, WriteError(filepath.Base(path), f.Close())
}

// HashReader gives the sha256 of what r holds, in hex.
func HashReader(ctx context.Context, r io.Reader, report func(done int64)) (string, error) {
	h := sha256.New()
	_, err := io.CopyBuffer(Metered(ctx, h, report), struct{ io.Reader }{r}, make([]byte, 1<<20))
	return hex.EncodeToString(h.Sum(nil)), err
}

// HashFile gives the sha256 of a file, in hex. report, if not nil, is told how many
// bytes are read.
func HashFile(ctx context.Context, path string, report func(done int64)) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", OpenError(path, err)
	}
	defer f.Close()
	return HashReader(ctx, f, report)
}

// Metered writes to w until the context is done, and tells report, if it is not nil,
// how many bytes are written.
func Metered(ctx context.Context, w io.Writer, report func(done int64)) io.Writer {
	return &meter{ctx: ctx, w: w, report: report}
}

type meter struct {
	ctx    context.Context
	w      io.Writer
	n      int64
	report func(done int64)
}

func (m *meter) Write(b []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.w.Write(b)
	m.n += int64(n)
	if m.report != nil {
		m.report(m.n)
	}
	return n, err
}

// PlaceFile has fill write a temporary file in dir, syncs it and renames it to
// name: what is there under that name is complete.
func PlaceFile(dir, name string, fill func(*os.File) error) error {
	f, err := renameio.NewPendingFile(filepath.Join(dir, name), renameio.WithTempDir(dir), renameio.WithPermissions(0o644))
	if err != nil {
		return WriteError(dir, err)
	}
	defer f.Cleanup()
	if err := fill(f.File); err != nil {
		return WriteError(name, err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return WriteError(name, err)
	}
	return SyncDir(dir)
}
