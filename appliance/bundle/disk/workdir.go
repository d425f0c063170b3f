package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Workdir is the temporary directory beside a bundle's place in which the
// bundle grows. The lock on that place makes every other such directory one
// that a dead process has left.
type Workdir struct {
	dst  string // where the bundle will be
	Path string
	// marker is the file by which a directory is known that may be replaced.
	marker string
	lock   *FileLock
}

// NewWorkdir makes the temporary directory, where dst is not there, is empty or has the
// file marker. Until commit, dst is as it was. The error wraps ErrBusy where another
// process has one.
func NewWorkdir(dst, marker string) (*Workdir, error) {
	dst, err := Resolve(dst)
	if err != nil {
		return nil, err
	}
	parent, base := filepath.Split(dst)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, WriteError(parent, err)
	}
	lock, err := tryLock(filepath.Join(parent, "."+base+".lock"))
	if errors.Is(err, ErrBusy) {
		return nil, fmt.Errorf("%s: %w: wait for it to end", dst, ErrBusy)
	}
	if err != nil {
		return nil, WriteError(parent, err)
	}
	w := &Workdir{dst: dst, marker: marker, lock: lock}
	if err := w.create(parent, base); err != nil {
		lock.Release()
		return nil, err
	}
	return w, nil
}

// Resolve makes the path absolute and follows a link that is there.
func Resolve(dst string) (string, error) {
	dst, err := filepath.Abs(dst)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(dst); err == nil {
		return real, nil
	}
	return dst, nil
}

func (w *Workdir) create(parent, base string) error {
	if err := w.recover(); err != nil {
		return err
	}
	if err := Replaceable(w.dst, w.marker); err != nil {
		return err
	}
	stale, err := filepath.Glob(filepath.Join(parent, "."+GlobEscape(base)+".new-*"))
	if err != nil {
		return err
	}
	for _, s := range stale {
		if err := os.RemoveAll(s); err != nil {
			return err
		}
	}
	if w.Path, err = os.MkdirTemp(parent, "."+base+".new-*"); err != nil {
		return WriteError(parent, err)
	}
	return os.Chmod(w.Path, 0o755)
}

// Replaceable refuses a directory that has files and no marker among them: it is no
// bundle.
func Replaceable(dst, marker string) error {
	entries, err := os.ReadDir(dst)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return nil
	case err != nil:
		return fmt.Errorf("%w: choose another directory", err)
	}
	for _, e := range entries {
		if e.Name() == marker {
			return nil
		}
	}
	return fmt.Errorf("%s is a directory that is no bundle: choose another one", dst)
}

// GlobEscape makes of a path a pattern of filepath.Glob that means it alone.
func GlobEscape(s string) string {
	var out []rune
	for _, r := range s {
		switch r {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, r)
	}
	return string(out)
}

func (w *Workdir) old() string {
	return filepath.Join(filepath.Dir(w.dst), "."+filepath.Base(w.dst)+".old")
}

// recover finishes what a process left that died between the two renames of a
// replacement.
func (w *Workdir) recover() error {
	if _, err := os.Lstat(w.old()); err != nil {
		return nil
	}
	if _, err := os.Lstat(w.dst); errors.Is(err, fs.ErrNotExist) {
		return os.Rename(w.old(), w.dst)
	}
	return os.RemoveAll(w.old())
}

// Commit puts the directory in the bundle's place, replacing what is there.
func (w *Workdir) Commit() error {
	if err := SyncDir(w.Path); err != nil {
		return err
	}
	parent := filepath.Dir(w.dst)
	if _, err := os.Lstat(w.dst); errors.Is(err, fs.ErrNotExist) {
		if err := os.Rename(w.Path, w.dst); err != nil {
			return err
		}
		return SyncDir(parent)
	}
	// Swapped in one step where the file system can: then w.path is the old one,
	// which close removes.
	if err := unix.Renameat2(unix.AT_FDCWD, w.Path, unix.AT_FDCWD, w.dst, unix.RENAME_EXCHANGE); err == nil {
		return SyncDir(parent)
	}
	if err := os.Rename(w.dst, w.old()); err != nil {
		return err
	}
	if err := os.Rename(w.Path, w.dst); err != nil {
		return errors.Join(err, os.Rename(w.old(), w.dst))
	}
	if err := SyncDir(parent); err != nil {
		return err
	}
	return os.RemoveAll(w.old())
}

// Close removes what was not committed, or what that has replaced.
func (w *Workdir) Close() {
	os.RemoveAll(w.Path)
	w.lock.Release()
}

// PlaceDir puts the directory path, which is beside dst, in its place, replacing what is
// there.
func PlaceDir(path, dst string) error {
	w := &Workdir{dst: dst, Path: path}
	if err := w.recover(); err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return err
	}
	return os.RemoveAll(path) // what was there before
}
