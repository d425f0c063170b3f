// Package install knows how this program came onto a board, and so how it is updated there:
// from a Debian package, with the slots as directories, or with an image, with the slots as
// partitions. It finds the keys that updates are signed with, and updates on USB sticks.
//
// The package installs /usr/bin/skerry, which is the first version, and the directory Base
// has the slots: one is a link to that program, the other what an update has brought. Root
// owns them, so that the daemon, which runs as a user of its own, cannot change what is
// started. An image says what it is in the file Description.
package install

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/update"
	"skerry/appliance/update/manifest"
)

// Paths of an installation.
const (
	// Program is where the package has put this program.
	Program = "/usr/bin/skerry"
	// Base has the slots of a board that the package is installed on, and the record.
	Base = "/var/lib/skerry-program"
	// Description is a file of an image.
	Description = "/usr/lib/skerry/image.json"

	record = "updates.json"
	// waiting is a file beside the record: what the package has brought is still to be
	// started.
	waiting = "seed"

	// seedPatience is how long an update that is being written is waited for. A package
	// manager waits meanwhile.
	seedPatience = 20 * time.Second
)

// PackageBoard is what updates of a package call the board: any that Debian runs on.
const PackageBoard = "package"

// ErrNotInstalled is that nothing here can be updated by this program.
var ErrNotInstalled = errors.New("this program was installed neither by its Debian package nor with an image: update it as you have installed it")

// ErrLater is that what a package has brought is started later.
var ErrLater = errors.New("an update is being written")

// Image is what an image says of itself, in JSON.
type Image struct {
	// Board is the kind of board, as updates name it: pi, uefi.
	Board string `json:"board"`
	// Boot is tryboot or systemd-boot, and Mount where the partition is mounted that its
	// files are on: the first one, or the EFI system partition.
	Boot  string `json:"boot"`
	Mount string `json:"mount"`
	// Record is where the record of updates is, on the data partition.
	Record string `json:"record"`
	// Devices and Places are as in update.Slots.
	Devices map[update.Slot]map[string]string `json:"devices"`
	Places  map[update.Slot]map[string]string `json:"places,omitempty"`
}

// Installation is this program as it is installed.
type Installation struct {
	*update.Updater
	// Models is the updates of the model bundle.
	Models *Bundles
	// Kind is manifest.Program or manifest.System.
	Kind  string
	Board string

	version   manifest.Version // of this program
	known     bool             // version is
	directory *update.Directory
	program   string // of the package
}

// Find looks how the program of a version is installed. base is the directory of the slots,
// "" for that of the package or what an image says. Errors wrap ErrNotInstalled where it can
// update nothing.
func Find(version, base string) (*Installation, error) {
	i := &Installation{Kind: manifest.Program, Board: PackageBoard, program: Program}
	i.version, i.known = manifest.BuiltVersion(version)
	if base == "" {
		text, err := os.ReadFile(Description)
		if err == nil {
			return i, i.image(text)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		base = Base
		if _, err := os.Stat(base); errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNotInstalled
		}
	}
	i.in(base)
	return i, nil
}

// BaseToStart is the directory of the slots that a start of the service uses where base is
// given: that of the package too where it is gone, so that it is made anew.
func BaseToStart(base string) string {
	program, err := os.Executable()
	if err != nil {
		return base
	}
	return baseToStart(base, program, Description)
}

func baseToStart(base, program, description string) string {
	if base != "" || program != Program {
		return base
	}
	if _, err := os.Stat(description); !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return Base
}

// in has the slots be directories below base.
func (i *Installation) in(base string) {
	i.directory = update.NewDirectory(base)
	i.Updater = update.New(i.directory, update.NewSlots(base, nil, nil), filepath.Join(base, record))
	i.Models = bundlesIn(filepath.Join(base, bundlesOfPackage))
}

// image has the slots be what an image says.
func (i *Installation) image(text []byte) error {
	m, err := parseImage(text)
	if err != nil {
		return fmt.Errorf("%s: %w: flash this board anew", Description, err)
	}
	var boot update.Boot = update.NewSystemdBoot(m.Mount)
	if m.Boot == "tryboot" {
		boot = update.NewTryboot(m.Mount)
	}
	i.Kind, i.Board = manifest.System, m.Board
	i.Updater = update.New(boot, update.NewSlots("", m.Devices, m.Places), m.Record)
	i.Models = bundlesIn(filepath.Join(filepath.Dir(m.Record), bundlesOfImage))
	return nil
}

func parseImage(text []byte) (*Image, error) {
	m := new(Image)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, err
	}
	switch {
	case m.Boot != "tryboot" && m.Boot != "systemd-boot":
		return nil, fmt.Errorf("its boot %.40q is neither tryboot nor systemd-boot", m.Boot)
	case m.Board == "" || !filepath.IsAbs(m.Mount) || !filepath.IsAbs(m.Record):
		return nil, fmt.Errorf("it names no board, or no absolute paths of mount and record")
	case len(m.Devices[update.A]) == 0 || len(m.Devices[update.B]) == 0:
		return nil, fmt.Errorf("it names no devices of the slots a and b")
	}
	return m, nil
}

// Seed has the installation know the program that the package has brought, and start it
// from now on where it is another than before. changed says that it is. One that was built
// without a version counts as 0.0.0. Where an update is being written that does not end
// soon, the first Begin after it does this, and the error wraps ErrLater.
func (i *Installation) Seed(ctx context.Context) (changed bool, err error) {
	if i.directory == nil {
		return false, nil
	}
	if err := os.MkdirAll(i.directory.Base, 0o755); err != nil {
		return false, err
	}
	if err := os.WriteFile(i.waiting(), nil, 0o644); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, seedPatience)
	defer cancel()
	changed, err = i.adopt(ctx)
	if errors.Is(err, disk.ErrBusy) {
		err = fmt.Errorf("%w: version %s of the package is started by the first restart after it (sudo systemctl restart skerry)", ErrLater, i.version)
	}
	return changed, err
}

func (i *Installation) waiting() string { return filepath.Join(i.directory.Base, waiting) }

func (i *Installation) adopt(ctx context.Context) (changed bool, err error) {
	e, err := entry(i.program)
	if err != nil {
		return false, err
	}
	if changed, err = i.Adopt(ctx, i.program, i.version, []manifest.Entry{e}); err != nil {
		return false, err
	}
	if err := os.Remove(i.waiting()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return changed, err
	}
	return changed, nil
}

// seedLate does what a package could not wait for, where that is possible now.
func (i *Installation) seedLate() error {
	_, none := os.Readlink(filepath.Join(i.directory.Base, "current"))
	_, err := os.Stat(i.waiting())
	if !errors.Is(none, fs.ErrNotExist) && err != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // a start waits for nothing
	if _, err = i.adopt(ctx); errors.Is(err, disk.ErrBusy) && none == nil {
		return nil // what is kept is started, and the next start tries again
	}
	return err
}

// entry is a program as a manifest has it.
func entry(path string) (manifest.Entry, error) {
	e, err := manifest.EntryOf(filepath.Base(path), path)
	e.Executable = true
	return e, err
}

// Begin is called, by root, before each start of the daemon. It chooses the slot of the bundle
// that is used, and with a package the one that is started. It returns the record as it is
// then.
func (i *Installation) Begin() (*update.State, error) {
	s, err := i.beginProgram()
	return s, errors.Join(err, i.Models.begin())
}

func (i *Installation) beginProgram() (*update.State, error) {
	if i.directory == nil {
		return i.Resume()
	}
	late := i.seedLate() // whose error keeps nothing from being started
	if _, err := i.directory.Start(); err != nil {
		return nil, cmp.Or(late, err)
	}
	s, err := i.Resume()
	return s, cmp.Or(late, err)
}

// Policy is what this board holds an update against, signed by one of keys.
func (i *Installation) Policy(keys []string, allowDowngrade bool) manifest.Policy {
	p := manifest.Policy{Keys: keys, Kind: i.Kind, Board: i.Board, Arch: runtime.GOARCH, AllowDowngrade: allowDowngrade, Now: time.Now()}
	if s, r, err := i.Status(); err == nil {
		if _, known := s.Slots[r.Slot]; !known && i.known {
			p.Installed = &i.version
		}
	}
	return p
}
