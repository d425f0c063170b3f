package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"skerry/appliance/update"
	"skerry/appliance/update/install"
)

// piConfig is config.txt, which the firmware reads from the slot's boot partition. Nothing in
// it names the slot: the same files boot both.
const piConfig = `# Skerry writes this file anew with each version.
arm_64bit=1
upstream_kernel=1
kernel=kernel8.img
initramfs initrd followkernel
enable_uart=1
disable_splash=1
`

// labelBoot is of the partitions with the firmware's files and the kernel of a slot: the
// second and the third one, as update.Tryboot has it.
const labelBoot = "skerry-boot-"

func installedPi() install.Image {
	i := installed("pi", "tryboot")
	for _, s := range []update.Slot{update.A, update.B} {
		i.Devices[s][bootFile] = "/dev/disk/by-partlabel/" + labelBoot + string(s)
	}
	return i
}

// firmwareFiles are what a Raspberry Pi 4 boots from; a 5 has that in its EEPROM.
var firmwareFiles = []string{"start4.elf", "fixup4.dat"}

// keepPi keeps the kernel, the device trees and the firmware's files. It adds the modules
// that tell the firmware what to boot next.
func keepPi(ctx context.Context, root, work string) error {
	if err := keepKernel(root, work); err != nil {
		return err
	}
	if err := makeFlagModules(ctx, root, work); err != nil {
		return err
	}
	dir, _, err := kernelOf(root)
	if err != nil {
		return err
	}
	for _, name := range []string{"System.map", "config"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := os.Rename(filepath.Join(dir, "dtb"), filepath.Join(work, "dtb")); err != nil {
		return err
	}
	return os.Rename(filepath.Join(root, "usr/lib/raspi-firmware"), filepath.Join(work, "firmware"))
}

// piDeviceTrees are the device trees of the boards, by the names that their firmware looks
// for; the kernel's differ from them where a board came later than its first revision.
var piDeviceTrees = map[string]string{
	"bcm2711-rpi-4-b.dtb": "bcm2711-rpi-4-b.dtb", "bcm2711-rpi-400.dtb": "bcm2711-rpi-400.dtb", "bcm2711-rpi-cm4.dtb": "bcm2711-rpi-cm4-io.dtb",
	"bcm2712-rpi-5-b.dtb": "bcm2712-rpi-5-b.dtb", "bcm2712d0-rpi-5-b.dtb": "bcm2712-d-rpi-5-b.dtb", "bcm2712-d-rpi-5-b.dtb": "bcm2712-d-rpi-5-b.dtb",
}

// unitePi makes the file system of a slot's boot partition. It is smaller than the partition:
// what is written at an update is what it needs, with some room.
func unitePi(ctx context.Context, root, work, parts string, b board) error {
	boot := filepath.Join(work, "boot")
	if err := makeInitrd(root, filepath.Join(work, "start"), filepath.Join(work, "initrd")); err != nil {
		return err
	}
	kernel, err := os.ReadFile(filepath.Join(work, "vmlinuz"))
	if err != nil {
		return err
	}
	packed, err := gzipped(kernel)
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{"config.txt": []byte(piConfig), "cmdline.txt": []byte(b.cmdline + "\n"), "kernel8.img": packed} {
		if err := write(filepath.Join(boot, name), text, 0o644); err != nil {
			return err
		}
	}
	from := map[string]string{"initrd": filepath.Join(work, "initrd")}
	for name, as := range piDeviceTrees {
		from[name] = filepath.Join(work, "dtb/broadcom", as)
	}
	for _, name := range firmwareFiles {
		from[name] = filepath.Join(work, "firmware", name)
	}
	for name, path := range from {
		if err := copyFile(path, filepath.Join(boot, name)); err != nil {
			return fmt.Errorf("%w: the packages of the kernel or the firmware are others than this program knows", err)
		}
	}
	n, err := sizeOf(boot)
	if err != nil {
		return err
	}
	size := max(up64(n+n/32+4*mib, align), leastFAT32)
	if size > bootSize {
		return fmt.Errorf("what boots a slot has %d MiB, and its partition %d", size/mib, bootSize/mib)
	}
	return makeSlotFAT(ctx, filepath.Join(parts, bootFile), boot, size)
}

// makeSlotFAT makes a boot partition of a slot. No block of it is unused: a rollback to what
// was flashed compares all of it, and a card may have had anything where an image is sparse.
func makeSlotFAT(ctx context.Context, path, dir string, size int64) error {
	if err := makeFAT(ctx, path, "SKERRY-BOOT", dir, size); err != nil {
		return err
	}
	return clearUnused(path)
}

// leastFAT32 has the 65525 clusters of 512 bytes that a FAT32 has at least.
const leastFAT32 = 36 * mib

// gzipped is a kernel as the firmware unpacks it.
func gzipped(kernel []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(kernel); err != nil {
		return nil, err
	}
	err = z.Close() // which writes the rest
	return b.Bytes(), err
}

// layoutPi is the partition that the firmware reads autoboot.txt from, and that its owner puts
// files on; the boot partitions of the slots; their roots, and the data. Of slot b both are
// empty until the first update.
func layoutPi(ctx context.Context, b board, o options, parts, work string) ([]volume, error) {
	first := filepath.Join(work, "first")
	boot := update.NewTryboot(first)
	if err := os.MkdirAll(first, 0o755); err != nil {
		return nil, err
	}
	if err := boot.Keep(update.A); err != nil {
		return nil, err
	}
	if err := addBootFiles(first); err != nil {
		return nil, err
	}
	if err := makeFAT(ctx, filepath.Join(work, "first.vfat"), "SKERRY", first, firstSize); err != nil {
		return nil, err
	}
	return systemVolumes(ctx, piVolumes(parts, work), b, o, parts, work)
}

// piVolumes are the partitions that the firmware knows by their numbers.
func piVolumes(parts, work string) []volume {
	return []volume{
		{"skerry-first", typeBasic, firstSize, filepath.Join(work, "first.vfat")},
		{labelBoot + "a", typeBasic, bootSize, filepath.Join(parts, bootFile)},
		{labelBoot + "b", typeBasic, bootSize, ""},
	}
}
