package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse is wrapped where a process has a directory in use, or is about to remove it.
var ErrInUse = errors.New("in use")

// Use keeps other processes from removing the directory or file at path until release is
// called. The error wraps ErrInUse where one removes it now, and fs.ErrNotExist where nothing
// is there. Where the file system knows no locks, nothing is kept from anybody.
func Use(path string) (release func(), err error) { return lockPath(path, unix.LOCK_SH) }

// WaitUse is Use of a directory that is made where it is not there; while another process
// removes it, it waits.
func WaitUse(ctx context.Context, dir string) (release func(), err error) {
	for {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, WriteError(dir, err)
		}
		release, err := Use(dir)
		if !errors.Is(err, ErrInUse) && !errors.Is(err, fs.ErrNotExist) {
			return release, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// Claim keeps others from using the directory or file at path until release is called. The
// error wraps ErrInUse where somebody uses it, and fs.ErrNotExist where nothing is there.
func Claim(path string) (release func(), err error) { return lockPath(path, unix.LOCK_EX) }

// lockPath locks what is at path itself, so that nothing is written for it and the lock ends
// with the process.
func lockPath(path string, how int) (release func(), err error) {
	for {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("%s is %w", path, ErrInUse)
		}
		if current(f, path) {
			return func() { f.Close() }, nil
		}
		f.Close() // it was removed or replaced between the two steps
	}
}
