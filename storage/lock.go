package storage

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const lockRetry = 20 * time.Millisecond

// lockFile opens path and takes the lock bbolt takes, before anything is read:
// a file another process writes to looks damaged. The lock may have been waited
// for while that process put another file in place; then it starts over.
func lockFile(path string, flags int, timeout time.Duration) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|flags, 0o600)
		if err != nil {
			return nil, fmt.Errorf("database: %w", err)
		}
		if err := lock(f, path, timeout); err != nil {
			f.Close()
			return nil, err
		}
		mine, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("database: %w", err)
		}
		if !mine.Mode().IsRegular() {
			f.Close()
			return nil, fmt.Errorf("database %s is not a file", path)
		}
		if now, err := os.Stat(path); err == nil && os.SameFile(mine, now) {
			return f, nil
		}
		f.Close()
	}
}

func lock(f *os.File, path string, timeout time.Duration) error {
	for start := time.Now(); ; time.Sleep(lockRetry) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock database %s: %w", path, err)
		}
		if time.Since(start) >= timeout {
			return fmt.Errorf("%w: database %s is locked; is skerry running already?", ErrLocked, path)
		}
	}
}
