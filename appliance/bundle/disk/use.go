package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrInUse is wrapped where a process has a directory in use, or is about to remove it.
var ErrInUse = errors.New("in use")

// Use keeps other processes from removing the directory dir until release is called. The
// error wraps ErrInUse where one removes it now. Where the file system knows no locks,
// nothing is kept from anybody.
func Use(dir string) (release func(), err error) { return lockDir(dir, unix.LOCK_SH) }

// Claim keeps others from using the directory dir until release is called. The error wraps
// ErrInUse where somebody uses it.
func Claim(dir string) (release func(), err error) { return lockDir(dir, unix.LOCK_EX) }

// lockDir locks the directory itself, so that nothing is written for it and the lock ends
// with the process.
func lockDir(dir string, how int) (release func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), how|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		d.Close()
		return nil, fmt.Errorf("%s is %w", dir, ErrInUse)
	}
	return func() { d.Close() }, nil
}
