package update

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FlagModules is the directory of an image with the kernel modules that set and clear the
// firmware's flag: FlagModule(true) and FlagModule(false) are their names.
const FlagModules = "/usr/lib/skerry"

// FlagModule is the name of the module that sets the flag, or clears it.
func FlagModule(try bool) string {
	if try {
		return "skerry_try"
	}
	return "skerry_keep"
}

// kernelFlag tells the firmware of a Raspberry Pi what Tryboot.Flag says. The Raspberry
// Pi's own kernel sets the flag as it reboots, where the argument of the reboot asks for it.
// Debian's takes no notice of the argument, and every update would fall back there; an image
// with that kernel brings modules that set the flag as they are loaded.
type kernelFlag struct {
	dir string
	// mailbox is a device that only the Raspberry Pi's own kernel has.
	mailbox string
	load    func(path string) error
	unload  func(name string) error
}

func newKernelFlag() kernelFlag {
	return kernelFlag{FlagModules, "/dev/vcio", loadModule, func(name string) error { return unix.DeleteModule(name, 0) }}
}

func (k kernelFlag) set(try bool) error {
	if _, err := os.Stat(k.mailbox); err == nil {
		return nil // nothing is set before the reboot
	}
	name := FlagModule(try)
	path := filepath.Join(k.dir, name+".ko")
	err := k.load(path)
	if errors.Is(err, unix.EEXIST) { // a power cut or a signal came between the two
		if err = k.unload(name); err == nil {
			err = k.load(path)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: this kernel cannot ask the firmware to try a version: flash the board anew", err)
	case err != nil:
		return fmt.Errorf("%s: %w: the firmware could not be told which version to try: restart the board, and apply the update again", path, err)
	}
	return k.unload(name)
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}
