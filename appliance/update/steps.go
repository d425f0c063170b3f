package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"skerry/appliance/bundle/disk"
)

// steps are the changes that an update makes to disks. Each lasts once it returns; a
// power cut in its midst may leave what its comment says, and no more.
type steps interface {
	// overwrite changes a file in place to data of the same length, at most a sector's,
	// 512 bytes. Torn: any of the bytes are the old ones.
	overwrite(path string, data []byte) error
	// replace has path hold data. Torn: the file is the old one, or on FAT incomplete.
	replace(path string, data []byte) error
	// rename moves a file within a directory. Torn: on FAT either name, both, or none.
	rename(from, to string) error
	// remove removes a file or a directory with what is in it, if it is there. Torn: some
	// of what is in a directory is left.
	remove(path string) error
	// symlink has path lead to target. Torn: it leads where it led before.
	symlink(target, path string) error
	// write copies r to a file, or over the beginning of a device that is there. Torn: the
	// end is missing or arbitrary.
	write(ctx context.Context, path string, device bool, mode os.FileMode, r io.Reader) error
}

// realSteps are done to the file system.
type realSteps struct{}

func (realSteps) overwrite(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	return f.Sync()
}

func (realSteps) replace(path string, data []byte) error {
	return disk.PlaceFile(filepath.Dir(path), filepath.Base(path), func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

func (realSteps) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return disk.SyncDir(filepath.Dir(to))
}

func (realSteps) remove(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return disk.SyncDir(filepath.Dir(path))
}

func (realSteps) symlink(target, path string) error {
	aside := path + ".new"
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, aside); err != nil {
		return err
	}
	if err := os.Rename(aside, path); err != nil {
		return err
	}
	return disk.SyncDir(filepath.Dir(path))
}

func (realSteps) write(ctx context.Context, path string, device bool, mode os.FileMode, r io.Reader) error {
	flags := os.O_WRONLY
	if !device {
		flags |= os.O_CREATE | os.O_TRUNC
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, flags, mode)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyBuffer(disk.Metered(ctx, f, nil), struct{ io.Reader }{r}, make([]byte, 1<<20)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	// What is read back is to come from the disk, not from memory.
	unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	if device {
		return nil
	}
	return errors.Join(f.Close(), syncUp(filepath.Dir(path)))
}

// syncUp syncs a directory and the two above it: those that a file of a slot may be the
// first in.
func syncUp(dir string) error {
	for range 3 {
		if err := disk.SyncDir(dir); err != nil {
			return fmt.Errorf("sync %s: %w", dir, err)
		}
		dir = filepath.Dir(dir)
	}
	return nil
}
