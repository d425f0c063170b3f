package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

func thisHost() host {
	return host{now: time.Now, synced: clockSynced, free: freeSpace, memory: memoryOf("/proc/meminfo")}
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

// memoryOf reads a meminfo.
func memoryOf(path string) func() (total, available uint64, err error) {
	return func() (total, available uint64, err error) {
		b, err := os.ReadFile(path)
		if err != nil {
			return 0, 0, err
		}
		for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
			var kb uint64
			if n, _ := fmt.Sscanf(s.Text(), "MemTotal: %d kB", &kb); n == 1 {
				total = kb << 10
			} else if n, _ := fmt.Sscanf(s.Text(), "MemAvailable: %d kB", &kb); n == 1 {
				available = kb << 10
			}
		}
		if total == 0 || available == 0 {
			return 0, 0, fmt.Errorf("%s tells no memory", path)
		}
		return total, available, nil
	}
}
