package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"skerry/appliance/update"
	"skerry/appliance/update/install"
	"skerry/appliance/update/manifest"
)

// board is a kind of board that there is an image for.
type board struct {
	name       string
	components []string // of Debian, beside main
	suite      string   // that has the kernel
	packages   []string // beside those of every board
	boot       []string // packages that only the boot partition is made of
	cmdline    string
	payload    []string // the files of an update
	// installed is how skerry update finds the slots on the board.
	installed install.Image
	// boots keeps, beside the root, what of the packages boots the board.
	boots func(ctx context.Context, root, work string) error
	// unite makes of it, in the directory parts, what the loader or the firmware reads.
	unite func(ctx context.Context, root, work, parts string, b board) error
	// layout makes the partitions.
	layout func(ctx context.Context, b board, o options, parts, work string) ([]volume, error)
}

// cmdline of every kernel. A panic restarts the board, so that a version on trial falls
// back. No console is named: the firmware's tables say where it is.
const cmdline = "panic=10 quiet loglevel=4 systemd.show_status=auto rd.udev.log_level=3"

var boards = map[string]board{
	"uefi": {name: "uefi", suite: release, boot: []string{"systemd-boot-efi"}, cmdline: cmdline, payload: []string{rootFile, "kernel.efi"}, installed: installedUEFI(), boots: keepEFI, unite: uniteUEFI, layout: layoutUEFI},
	"pi": {name: "pi", components: []string{"non-free-firmware"}, suite: release + "-backports", packages: []string{"firmware-brcm80211"}, boot: []string{"raspi-firmware"}, cmdline: cmdline,
		payload: []string{rootFile, bootFile}, installed: installedPi(), boots: keepPi, unite: unitePi, layout: layoutPi},
}

// names are those of the boards, for a person.
func names() string { return strings.Join(slices.Sorted(maps.Keys(boards)), " or ") }

// Files of an update.
const (
	rootFile = "root.erofs"
	bootFile = "boot.vfat" // with the firmware's files and the kernel, on a Raspberry Pi
)

// installed is an image with a device for each slot's root.
func installed(board, boot string) install.Image {
	i := install.Image{Board: board, Boot: boot, Mount: "/boot", Record: filepath.Join("/var", recordPath), Devices: map[update.Slot]map[string]string{}}
	for _, s := range []update.Slot{update.A, update.B} {
		i.Devices[s] = map[string]string{rootFile: "/dev/disk/by-partlabel/" + labelRoot + string(s)}
	}
	return i
}

func installedUEFI() install.Image {
	i := installed("uefi", "systemd-boot")
	i.Places = map[update.Slot]map[string]string{}
	for _, s := range []update.Slot{update.A, update.B} {
		i.Places[s] = map[string]string{"kernel.efi": filepath.Join(i.Mount, update.ImagePath(s))}
	}
	return i
}

// keepEFI keeps the kernel, the loader and the stub.
func keepEFI(_ context.Context, root, work string) error {
	if err := keepKernel(root, work); err != nil {
		return err
	}
	for _, name := range []string{"systemd-bootaa64.efi", "linuxaa64.efi.stub"} {
		if err := os.Rename(filepath.Join(root, "usr/lib/systemd/boot/efi", name), filepath.Join(work, name)); err != nil {
			return err
		}
	}
	return nil
}

// keepKernel moves the kernel out of the root. Newer packages have it beside its modules.
func keepKernel(root, work string) error {
	var found []string
	for _, at := range []string{"boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"} {
		more, err := filepath.Glob(filepath.Join(root, at))
		if err != nil {
			return err
		}
		found = append(found, more...)
	}
	if len(found) != 1 {
		return fmt.Errorf("the packages have %d kernels, not one", len(found))
	}
	if err := os.Rename(found[0], filepath.Join(work, "vmlinuz")); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(root, "boot")); err != nil {
		return err
	}
	return os.Mkdir(filepath.Join(root, "boot"), 0o755)
}

// makeInitrd writes the initrd for the kernel whose modules are in root.
func makeInitrd(root, start, path string) error {
	dir, _, err := kernelOf(root)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(writeInitrd(f, dir, start), f.Close())
}

// uniteUEFI makes one file of the kernel, the initrd and the command line, and keeps the
// loader.
func uniteUEFI(_ context.Context, root, work, parts string, b board) error {
	initrd := filepath.Join(work, "initrd")
	if err := makeInitrd(root, filepath.Join(work, "start"), initrd); err != nil {
		return err
	}
	_, version, err := kernelOf(root)
	if err != nil {
		return err
	}
	var text [4][]byte
	for i, path := range []string{filepath.Join(work, "linuxaa64.efi.stub"), filepath.Join(root, "usr/lib/os-release"), initrd, filepath.Join(work, "vmlinuz")} {
		if text[i], err = os.ReadFile(path); err != nil {
			return err
		}
	}
	unified, err := unify(text[0], []section{
		{".osrel", text[1]}, {".cmdline", []byte(b.cmdline)}, {".uname", []byte(version)}, {".initrd", text[2]}, {".linux", text[3]},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(parts, "kernel.efi"), unified, 0o644); err != nil {
		return err
	}
	return os.Rename(filepath.Join(work, "systemd-bootaa64.efi"), filepath.Join(parts, "systemd-bootaa64.efi"))
}

// layoutUEFI is the EFI system partition with the loader and the kernel of slot a, the two
// slots, of which b is empty until the first update, and the data.
func layoutUEFI(ctx context.Context, b board, o options, parts, work string) ([]volume, error) {
	esp := filepath.Join(work, "esp")
	loader, err := os.ReadFile(filepath.Join(parts, "systemd-bootaa64.efi"))
	if err != nil {
		return nil, err
	}
	kernel, err := os.ReadFile(filepath.Join(parts, "kernel.efi"))
	if err != nil {
		return nil, err
	}
	for path, data := range map[string][]byte{
		"EFI/BOOT/BOOTAA64.EFI":        loader,
		"EFI/skerry/a.efi":             kernel,
		"loader/loader.conf":           []byte("timeout 0\neditor no\n"),
		"loader/entries/skerry-a.conf": fmt.Appendf(nil, "title Skerry %s (slot a)\nsort-key skerry\nversion 1\nefi /EFI/skerry/a.efi\n", o.version),
	} {
		if err := write(filepath.Join(esp, path), data, 0o644); err != nil {
			return nil, err
		}
	}
	if err := addBootFiles(esp); err != nil {
		return nil, err
	}
	if err := makeFAT(ctx, filepath.Join(work, "esp.vfat"), "SKERRY", esp, espSize); err != nil {
		return nil, err
	}
	list := []volume{{"skerry-esp", typeESP, espSize, filepath.Join(work, "esp.vfat")}}
	return systemVolumes(ctx, list, b, o, parts, work)
}

// addBootFiles puts what explains itself on the boot partition.
func addBootFiles(dir string) error {
	text, err := files.ReadFile("files/boot/READ-ME.txt")
	if err != nil {
		return err
	}
	return write(filepath.Join(dir, "READ-ME.txt"), text, 0o644)
}

// Labels of partitions.
const labelRoot = "skerry-root-"

// recordPath is where the record of updates is, on the data partition.
const recordPath = "lib/board/updates.json"

// systemVolumes are the slots and the data, after those of the boot.
func systemVolumes(ctx context.Context, list []volume, b board, o options, parts, work string) ([]volume, error) {
	data := filepath.Join(work, "data")
	size := int64(dataSize)
	bundles := filepath.Join(data, "lib/board/bundles")
	if err := os.MkdirAll(bundles, 0o755); err != nil {
		return nil, err
	}
	if err := recordFlashed(b, o, parts, filepath.Join(data, recordPath)); err != nil {
		return nil, err
	}
	if o.bundle != "" {
		n, err := carry(o.bundle, bundles)
		if err != nil {
			return nil, err
		}
		size += up64(n+n/16, align)
	}
	if err := makeData(ctx, filepath.Join(work, "data.ext4"), data, size); err != nil {
		return nil, err
	}
	return append(list,
		volume{labelRoot + "a", typeSlot, rootSize, filepath.Join(parts, rootFile)},
		volume{labelRoot + "b", typeSlot, rootSize, ""},
		volume{"skerry-data", typeVar, size, filepath.Join(work, "data.ext4")}), nil
}

// recordFlashed writes down what is in slot a, so that one can go back to it. A version that
// cannot be compared with others is left out.
func recordFlashed(b board, o options, parts, path string) error {
	version, known := manifest.BuiltVersion(o.version)
	if !known {
		return nil
	}
	var files []manifest.Entry
	for _, name := range b.payload {
		e, err := manifest.EntryOf(name, filepath.Join(parts, name))
		if err != nil {
			return err
		}
		files = append(files, e)
	}
	text, err := update.Flashed(version, files)
	if err != nil {
		return err
	}
	return write(path, text, 0o644)
}

func up64(n, a int64) int64 { return (n + a - 1) / a * a }

// carry copies a bundle, and has it be the one that is used.
func carry(bundle, bundles string) (size int64, err error) {
	if _, err := os.Stat(filepath.Join(bundle, "manifest.json")); err != nil {
		return 0, fmt.Errorf("%w: BUNDLE is the directory of a bundle, as skerry model split makes one", err)
	}
	name := filepath.Base(filepath.Clean(bundle))
	if err := os.CopyFS(filepath.Join(bundles, name), os.DirFS(bundle)); err != nil {
		return 0, err
	}
	if err := os.Symlink(name, filepath.Join(bundles, "current")); err != nil {
		return 0, err
	}
	return sizeOf(filepath.Join(bundles, name))
}
