package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// workdir is the temporary directory beside a bundle's place in which the
// bundle grows. The lock on that place makes every other such directory one
// that a dead process has left.
type workdir struct {
	dst  string // where the bundle will be
	path string
	lock *fileLock
}

func newWorkdir(dst string) (*workdir, error) {
	dst, err := resolve(dst)
	if err != nil {
		return nil, err
	}
	parent, base := filepath.Split(dst)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, writeError(parent, err)
	}
	lock, err := tryLock(filepath.Join(parent, "."+base+".lock"))
	if errors.Is(err, ErrBusy) {
		return nil, fmt.Errorf("%s: %w: wait for it to end", dst, ErrBusy)
	}
	if err != nil {
		return nil, writeError(parent, err)
	}
	w := &workdir{dst: dst, lock: lock}
	if err := w.create(parent, base); err != nil {
		lock.release()
		return nil, err
	}
	return w, nil
}

// resolve makes the path absolute and follows a link that is there.
func resolve(dst string) (string, error) {
	dst, err := filepath.Abs(dst)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(dst); err == nil {
		return real, nil
	}
	return dst, nil
}

func (w *workdir) create(parent, base string) error {
	if err := w.recover(); err != nil {
		return err
	}
	if err := replaceable(w.dst); err != nil {
		return err
	}
	stale, err := filepath.Glob(filepath.Join(parent, "."+globEscape(base)+".new-*"))
	if err != nil {
		return err
	}
	for _, s := range stale {
		if err := os.RemoveAll(s); err != nil {
			return err
		}
	}
	if w.path, err = os.MkdirTemp(parent, "."+base+".new-*"); err != nil {
		return writeError(parent, err)
	}
	return os.Chmod(w.path, 0o755)
}

// replaceable refuses to overwrite what is no bundle.
func replaceable(dst string) error {
	entries, err := os.ReadDir(dst)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return nil
	case err != nil:
		return fmt.Errorf("%w: choose another directory", err)
	}
	for _, e := range entries {
		if e.Name() == ManifestFile {
			return nil
		}
	}
	return fmt.Errorf("%s is a directory that is no bundle: choose another one", dst)
}

func globEscape(s string) string {
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

func (w *workdir) old() string {
	return filepath.Join(filepath.Dir(w.dst), "."+filepath.Base(w.dst)+".old")
}

// recover finishes what a process left that died between the two renames of a
// replacement.
func (w *workdir) recover() error {
	if _, err := os.Lstat(w.old()); err != nil {
		return nil
	}
	if _, err := os.Lstat(w.dst); errors.Is(err, fs.ErrNotExist) {
		return os.Rename(w.old(), w.dst)
	}
	return os.RemoveAll(w.old())
}

// commit puts the directory in the bundle's place, replacing what is there.
func (w *workdir) commit() error {
	if err := syncDir(w.path); err != nil {
		return err
	}
	parent := filepath.Dir(w.dst)
	if _, err := os.Lstat(w.dst); errors.Is(err, fs.ErrNotExist) {
		if err := os.Rename(w.path, w.dst); err != nil {
			return err
		}
		return syncDir(parent)
	}
	// Swapped in one step where the file system can: then w.path is the old one,
	// which close removes.
	if err := unix.Renameat2(unix.AT_FDCWD, w.path, unix.AT_FDCWD, w.dst, unix.RENAME_EXCHANGE); err == nil {
		return syncDir(parent)
	}
	if err := os.Rename(w.dst, w.old()); err != nil {
		return err
	}
	if err := os.Rename(w.path, w.dst); err != nil {
		return errors.Join(err, os.Rename(w.old(), w.dst))
	}
	if err := syncDir(parent); err != nil {
		return err
	}
	return os.RemoveAll(w.old())
}

// close removes what was not committed, or what that has replaced.
func (w *workdir) close() {
	os.RemoveAll(w.path)
	w.lock.release()
}
