package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Medium is the kind of storage below a file, as far as commits care.
type Medium string

const (
	SD    Medium = "sd"
	EMMC  Medium = "emmc"
	Other Medium = "other"
)

// mediumOf finds what holds the directory dir, by the kernel's device tree
// below sys. A file system without a device of its own (overlay, btrfs) takes
// the slowest medium the machine has.
func mediumOf(sys, dir string) Medium {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return Other
	}
	return mediumOfDevice(sys, unix.Major(st.Dev), unix.Minor(st.Dev))
}

func mediumOfDevice(sys string, major, minor uint32) Medium {
	if major == 0 {
		return slowest(filepath.Join(sys, "block"))
	}
	node, err := filepath.EvalSymlinks(filepath.Join(sys, "dev/block", fmt.Sprintf("%d:%d", major, minor)))
	if err != nil {
		return Other
	}
	if _, err := os.Stat(filepath.Join(node, "partition")); err == nil {
		node = filepath.Dir(node)
	}
	return mediumOfDisk(node)
}

// mediumOfDisk looks at a disk, or through a mapping (dm-crypt, LVM, RAID) at
// what it lies on.
func mediumOfDisk(node string) Medium {
	if strings.HasPrefix(filepath.Base(node), "mmcblk") {
		if kind, _ := os.ReadFile(filepath.Join(node, "device/type")); strings.TrimSpace(string(kind)) == "MMC" {
			return EMMC
		}
		return SD
	}
	return slowest(filepath.Join(node, "slaves"))
}

// slowest returns the slowest medium of those listed in dir.
func slowest(dir string) Medium {
	found := Other
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		node, err := filepath.EvalSymlinks(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(node, "partition")); err == nil {
			node = filepath.Dir(node)
		}
		if !strings.HasPrefix(filepath.Base(node), "mmcblk") {
			continue // one level of mapping is as far as this looks
		}
		switch mediumOfDisk(node) {
		case SD:
			return SD
		case EMMC:
			found = EMMC
		}
	}
	return found
}
