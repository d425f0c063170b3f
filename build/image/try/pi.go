package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// qemu imitates no Raspberry Pi 4 or 5 here, and of no Pi the firmware. A 3 B, which it knows, is started
// with what the firmware would have loaded from slot a: the kernel, the initrd, the command line, and
// a device tree that names the partition. So nothing of tryboot is seen, and no update.

// slotA is where the boot partition of slot a begins.
const slotA = "@@65M"

// piCard is the size of a card in MB: qemu wants a power of two.
const piCard = 4096

// piTree is the device tree of the board that qemu imitates, which the kernel's package has and
// the image has not, as it is not for it.
const piTree = "bcm2837-rpi-3-b.dtb"

// isPi says whether an image is one for Raspberry Pi, by its name.
func isPi(image string) bool { return strings.HasPrefix(filepath.Base(image), "skerry-pi-") }

// piLoads puts beside the card what the firmware would have loaded from it.
func (m *machine) piLoads(disk string) error {
	for _, name := range []string{"kernel8.img", "initrd", "cmdline.txt"} {
		if err := tool("mcopy", "-n", "-o", "-i", disk+slotA, "::/"+name, filepath.Join(m.dir, name)); err != nil {
			return err
		}
	}
	tree := filepath.Join(m.dir, "board.dtb")
	if err := piTreeTo(tree); err != nil {
		return err
	}
	if err := tool("fdtput", "-c", tree, "/chosen/bootloader"); err != nil {
		return err
	}
	return tool("fdtput", "-t", "i", tree, "/chosen/bootloader", "partition", "2")
}

// piTreeTo takes the device tree out of the kernel's packages that make image has fetched.
func piTreeTo(to string) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(cache, "skerry/image/apt-*/cache/archives/linux-*_arm64.deb"))
	if err != nil {
		return err
	}
	for _, deb := range packages {
		text, err := fileOf(deb, piTree)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		return os.WriteFile(to, text, 0o644)
	}
	return fmt.Errorf("no package of the kernel with %s is in the cache: make image BOARD=pi fetches it", piTree)
}

// fileOf is the file of that name in a package.
func fileOf(deb, name string) (text []byte, err error) {
	cmd := exec.Command("dpkg-deb", "--fsys-tarfile", deb)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	text, err = fileIn(out, name)
	_, drained := io.Copy(io.Discard, out) // so that it ends
	return text, errors.Join(err, drained, cmd.Wait())
}

func fileIn(files io.Reader, name string) ([]byte, error) {
	for r := tar.NewReader(files); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		if err != nil {
			return nil, err
		}
		if path.Base(h.Name) == name {
			return io.ReadAll(r)
		}
	}
}

// piArguments are qemu's of the board. Its first serial line is for Bluetooth there, and its watchdog
// resets the board once it is started, whatever time it is given.
func (m *machine) piArguments() ([]string, error) {
	text, err := os.ReadFile(filepath.Join(m.dir, "cmdline.txt"))
	if err != nil {
		return nil, err
	}
	return []string{"-M", "raspi3b", "-smp", "4", "-m", "1024", "-kernel", "kernel8.img", "-initrd", "initrd", "-dtb", "board.dtb",
		"-append", strings.TrimSpace(string(text)) + " console=ttyS1,115200 systemd.watchdog_sec=off " + slow,
		"-drive", "if=sd,format=raw,file=card.img,cache=writeback",
		"-device", "usb-net,netdev=n", "-serial", "null"}, nil
}
