package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrBusy is wrapped where another process works on the same bundle.
var ErrBusy = errors.New("another process is writing it")

// lockPoll is how often a waiting process tries again.
const lockPoll = 100 * time.Millisecond

// FileLock is a lock among processes that ends with its holder.
type FileLock struct{ f *os.File }

// tryLock takes the lock file at path or fails with ErrBusy.
func tryLock(path string) (*FileLock, error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("%s: %w", path, ErrBusy)
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if current(f, path) {
			return &FileLock{f}, nil
		}
		f.Close() // its last holder has removed it meanwhile
	}
}

// WaitLock takes the lock file at path, calling waiting once if it has to wait.
func WaitLock(ctx context.Context, path string, waiting func()) (*FileLock, error) {
	for {
		l, err := tryLock(path)
		if !errors.Is(err, ErrBusy) {
			return l, err
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

func current(f *os.File, path string) bool {
	a, errA := f.Stat()
	b, errB := os.Stat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// Release removes the lock file while it is held, so that nothing is left.
func (l *FileLock) Release() {
	os.Remove(l.f.Name())
	l.f.Close()
}

// Lock keeps other processes from writing the directory dir until release is
// called. The error wraps ErrBusy where one does.
func Lock(dir string) (release func(), err error) {
	real, err := Resolve(dir)
	if err != nil {
		return nil, err
	}
	l, err := tryLock(filepath.Join(filepath.Dir(real), "."+filepath.Base(real)+".lock"))
	if errors.Is(err, ErrBusy) {
		return nil, fmt.Errorf("%s: %w: wait for it to end", dir, ErrBusy)
	}
	if err != nil {
		return nil, WriteError(dir, err)
	}
	return l.Release, nil
}
