package storage

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Look says whether Open would find the board's database at path whole, and changes
// nothing. It returns ErrLocked while another process has the file, ErrNewer,
// ErrKind, ErrDamaged, or fs.ErrNotExist where there is none.
func Look(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: database %s is locked", ErrLocked, path)
	} else if err != nil {
		return fmt.Errorf("lock database %s: %w", path, err)
	}
	return inspect(f, boardKind)
}
