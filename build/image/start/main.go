// Command start is the first program that the kernel of an image runs, from its initrd. It
// loads what drives the card, mounts the slot that the boot loader has chosen, read-only,
// and the data partition as /var over it, and then hands over to systemd. Where that fails
// it says why and restarts the board, so that a version on trial falls back to the one
// before.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	root  = "/root"
	erofs = "erofs"
	ext4  = "ext4"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "start: it is for the initrd of an image, as its /init")
		os.Exit(2)
	}
	if err := start(); err != nil {
		say("the board cannot start: %v", err)
		say("it restarts in 30 seconds; if this comes again and again, write the card anew")
		time.Sleep(30 * time.Second)
		unix.Sync()
		unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	}
}

// say prints a line where a person sees it.
func say(format string, args ...any) {
	line := fmt.Sprintf("skerry: "+format+"\r\n", args...)
	for _, path := range []string{"/dev/console", "/dev/tty1"} {
		f, err := os.OpenFile(root+path, os.O_WRONLY|unix.O_NOCTTY, 0)
		if err != nil { // the device files have not moved yet
			f, err = os.OpenFile(path, os.O_WRONLY|unix.O_NOCTTY, 0)
		}
		if err == nil {
			f.WriteString(line)
			f.Close()
		}
	}
}

// kernelFiles are the file systems that the kernel itself has, and where they belong.
var kernelFiles = []struct{ from, at, kind string }{
	{"devtmpfs", "/dev", "devtmpfs"}, {"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"},
}

func start() error {
	for _, m := range kernelFiles {
		if err := unix.Mount(m.from, m.at, m.kind, unix.MS_NOSUID, ""); err != nil && err != unix.EBUSY {
			return fmt.Errorf("%s: %w", m.at, err)
		}
	}
	mods, err := openModules("/modules")
	if err != nil {
		return err
	}
	// The file systems ask the kernel for crc32c, which no list of modules says.
	for _, name := range []string{"crc32c_generic", erofs, ext4, "overlay", "efivarfs"} {
		if err := mods.load(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // it may be built in
			say("%s: %v", name, err)
		}
	}
	chosen, err := findChosen()
	if err != nil {
		return err
	}
	rootDev, dataDev, err := awaitPartitions(mods, chosen)
	if err != nil {
		return err
	}
	if err := unix.Mount(rootDev, root, erofs, unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("slot %s on %s: %w", chosen.slot, rootDev, err)
	}
	for _, m := range kernelFiles {
		if err := unix.Mount(m.at, root+m.at, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", m.at, err)
		}
	}
	if err := mountData(dataDev); err != nil {
		return err
	}
	if err := overlayEtc(root, randomID); err != nil {
		return err
	}
	return handOver()
}

// mountData repairs and mounts the data partition as /var.
func mountData(dev string) error {
	check := exec.Command("/usr/sbin/e2fsck", "-p", dev)
	check.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	check.Dir = "/"
	null, err := os.Open(root + "/dev/null") // without one, it is looked for where it is no more
	if err != nil {
		return err
	}
	defer null.Close()
	check.Stdin = null
	if out, err := check.CombinedOutput(); err != nil && check.ProcessState.ExitCode() != 1 {
		say("e2fsck of the data partition: %v: %.200s", err, out)
	}
	// The device files have moved to where the root is.
	if err := unix.Mount(root+dev, root+"/var", ext4, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOATIME, ""); err != nil {
		return fmt.Errorf("data partition %s: %w", dev, err)
	}
	return nil
}

// handOver makes the slot the root, frees the memory of the initrd and becomes systemd.
func handOver() error {
	for _, name := range []string{"/modules", "/init"} {
		os.RemoveAll(name)
	}
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	console, err := os.OpenFile("/dev/console", os.O_RDWR|unix.O_NOCTTY, 0)
	if err == nil {
		for fd := range 3 {
			unix.Dup3(int(console.Fd()), fd, 0)
		}
	}
	const init = "/usr/lib/systemd/systemd"
	return fmt.Errorf("%s: %w", init, unix.Exec(init, []string{filepath.Base(init)}, []string{"PATH=/usr/sbin:/usr/bin", "TERM=linux"}))
}
