package bundle

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
)

// spare is kept free beyond what the files need, for directories and metadata.
const spare = 1 << 20

// openError says what to do about a file that cannot be opened.
func openError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w: check the path, or fetch a model with skerry model fetch", path, fs.ErrNotExist)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w: give this user the right to read it", path, fs.ErrPermission)
	}
	return err
}

// writeError says what to do where a disk is full or not to be written.
func writeError(path string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("%s: %w: free some space or choose another directory", path, err)
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("%w: give this user the right to write there or choose another directory", err)
	}
	return err
}

// checkSpace fails if the file system of dir has less than need bytes free.
func checkSpace(dir string, need int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil // not to be known here: writing will tell
	}
	free := int64(min(st.Bavail, 1<<40)) * st.Bsize
	if free < need+spare {
		return fmt.Errorf("%s: %w: %d MB are needed, %d MB are free: free some space or choose another directory",
			dir, syscall.ENOSPC, (need+spare)>>20+1, free>>20)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// writeFile creates path, has fill write it, syncs it, and returns its sha256
// and bytes.
func writeFile(ctx context.Context, path string, fill func(io.Writer) error) (sum string, n int64, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	if err := fill(&meter{ctx: ctx, w: io.MultiWriter(f, h), n: &n}); err != nil {
		return "", 0, writeError(filepath.Base(path), err)
	}
	if err := f.Sync(); err != nil {
		return "", 0, writeError(filepath.Base(path), err)
	}
	return hex.EncodeToString(h.Sum(nil)), n, writeError(filepath.Base(path), f.Close())
}

// hashReader gives the sha256 of what r holds, in hex.
func hashReader(ctx context.Context, r io.Reader, report func(done int64)) (string, error) {
	h := sha256.New()
	var n int64
	_, err := io.CopyBuffer(&meter{ctx: ctx, w: h, n: &n, report: report}, struct{ io.Reader }{r}, make([]byte, 1<<20))
	return hex.EncodeToString(h.Sum(nil)), err
}

func hashFile(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return hashReader(ctx, f, nil)
}

// meter counts what is written and stops when the context is done.
type meter struct {
	ctx    context.Context
	w      io.Writer
	n      *int64
	report func(done int64)
}

func (m *meter) Write(b []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.w.Write(b)
	*m.n += int64(n)
	if m.report != nil {
		m.report(*m.n)
	}
	return n, err
}

// placeFile has fill write a temporary file in dir, syncs it and renames it to
// name: what is there under that name is complete.
func placeFile(dir, name string, fill func(*os.File) error) error {
	f, err := renameio.NewPendingFile(filepath.Join(dir, name), renameio.WithTempDir(dir), renameio.WithPermissions(0o644))
	if err != nil {
		return writeError(dir, err)
	}
	defer f.Cleanup()
	if err := fill(f.File); err != nil {
		return writeError(name, err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return writeError(name, err)
	}
	return syncDir(dir)
}
