package doctor

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/decode/batch"
)

// host is the machine that the doctor looks at.
type host struct {
	now    func() time.Time
	synced func() (bool, error) // whether something sets the clock
	free   func(dir string) (free, total uint64, err error)
	memory func() (batch.Memory, error)
}

func thisHost(memory func() (batch.Memory, error)) host {
	return host{now: time.Now, synced: clockSynced, free: freeSpace, memory: memory}
}

func clockSynced() (bool, error) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return false, err
	}
	return t.Status&unix.STA_UNSYNC == 0, nil
}

// freeSpace where dir is, or is to be made.
func freeSpace(dir string) (free, total uint64, err error) {
	var st unix.Statfs_t
	for {
		if err = unix.Statfs(dir, &st); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), err
		}
		dir = filepath.Dir(dir)
	}
}
