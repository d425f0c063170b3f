package storage

import (
	"os"
	"path/filepath"
	"testing"
)

// sysTree makes a /sys with one disk of each kind, as the kernel lays it out.
func sysTree(t *testing.T) string {
	sys := t.TempDir()
	file := func(path, text string) {
		path = filepath.Join(sys, path)
		must0(t, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
	}
	link := func(path, to string) {
		path = filepath.Join(sys, path)
		must0(t, os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(filepath.Join(sys, to), path))
	}
	file("devices/mmc0/block/mmcblk0/mmcblk0p2/partition", "2\n")
	file("devices/mmc0/block/mmcblk0/device/type", "SD\n")
	file("devices/mmc1/block/mmcblk1/device/type", "MMC\n")
	file("devices/pci/nvme0n1/nvme0n1p1/partition", "1\n")
	file("devices/virtual/block/dm-0/dm/name", "root\n")
	link("devices/virtual/block/dm-0/slaves/mmcblk0p2", "devices/mmc0/block/mmcblk0/mmcblk0p2")
	link("dev/block/179:0", "devices/mmc0/block/mmcblk0")
	link("dev/block/179:2", "devices/mmc0/block/mmcblk0/mmcblk0p2")
	link("dev/block/179:8", "devices/mmc1/block/mmcblk1")
	link("dev/block/259:1", "devices/pci/nvme0n1/nvme0n1p1")
	link("dev/block/253:0", "devices/virtual/block/dm-0")
	return sys
}

func TestMedium(t *testing.T) {
	sys := sysTree(t)
	for _, c := range []struct {
		major, minor uint32
		want         Medium
	}{{179, 0, SD}, {179, 2, SD}, {179, 8, EMMC}, {259, 1, Other}, {253, 0, SD}, {8, 1, Other}, {0, 30, Other}} {
		if got := mediumOfDevice(sys, c.major, c.minor); got != c.want {
			t.Errorf("%d:%d is %s, want %s", c.major, c.minor, got, c.want)
		}
	}
	// A file system without a device of its own is taken to lie on the card.
	must0(t, os.MkdirAll(sys+"/block", 0o755), os.Symlink(sys+"/devices/mmc1/block/mmcblk1", sys+"/block/mmcblk1"),
		os.Symlink(sys+"/devices/pci/nvme0n1", sys+"/block/nvme0n1"))
	if got := mediumOfDevice(sys, 0, 30); got != EMMC {
		t.Errorf("an overlay is on %s", got)
	}
	db := open(t, board(t), Options{Sys: filepath.Join(sys, "nothing")})
	if db.Medium() != Other {
		t.Errorf("without a /sys: %s", db.Medium())
	}
}
