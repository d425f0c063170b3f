package update

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"unicode/utf16"
)

// SystemdBoot is a board with UEFI and systemd-boot, with a loader entry a slot. The
// entry with the highest version is booted; one on trial is called skerry-b+1.conf, which
// the loader renames to skerry-b+0-1.conf as it boots it, and one without tries left comes
// after all others. The rules are of the Boot Loader Specification, "Boot counting", and
// of systemd's "Automatic Boot Assessment". Nothing else may rename the entries: the
// image masks systemd-bless-boot.service, and its loader.conf names no default.
type SystemdBoot struct {
	// ESP is where the EFI system partition is mounted.
	ESP string
	// Variables is where EFI's variables are, /sys/firmware/efi/efivars.
	Variables string

	steps steps
}

// NewSystemdBoot is the boot of a board whose EFI system partition is mounted at esp.
func NewSystemdBoot(esp string) *SystemdBoot {
	return &SystemdBoot{esp, "/sys/firmware/efi/efivars", realSteps{}}
}

// selected is the variable that the loader names the entry in that it has booted.
const selected = "LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

var (
	entryName    = regexp.MustCompile(`^skerry-([ab])(\+[0-9]+(?:-[0-9]+)?)?(?:\.conf)?$`)
	entryVersion = regexp.MustCompile(`(?m)^version ([0-9]{1,18})$`)
)

// entry is a loader entry of a slot.
type entry struct {
	path       string
	slot       Slot
	counted    bool
	generation uint64
}

func (b *SystemdBoot) dir() string { return filepath.Join(b.ESP, "loader", "entries") }

func (b *SystemdBoot) entries() (list []entry, err error) {
	files, err := os.ReadDir(b.dir())
	if err != nil {
		return nil, fmt.Errorf("%w: is the EFI system partition mounted at %s?", err, b.ESP)
	}
	for _, f := range files {
		m := entryName.FindStringSubmatch(f.Name())
		if m == nil || filepath.Ext(f.Name()) != ".conf" {
			continue
		}
		e := entry{path: filepath.Join(b.dir(), f.Name()), slot: Slot(m[1]), counted: m[2] != ""}
		text, err := os.ReadFile(e.path)
		if err != nil {
			return nil, err
		}
		if v := entryVersion.FindSubmatch(text); v != nil {
			e.generation, _ = strconv.ParseUint(string(v[1]), 10, 64) // 18 digits always fit
		}
		list = append(list, e)
	}
	return list, nil
}

// Running reads what the loader has booted.
func (b *SystemdBoot) Running() (Running, error) {
	path := filepath.Join(b.Variables, selected)
	raw, err := os.ReadFile(path)
	if err != nil {
		return Running{}, fmt.Errorf("%w: the boot loader does not say what it has booted: is it systemd-boot?", err)
	}
	slot, err := parseSelected(raw)
	if err != nil {
		return Running{}, err
	}
	list, err := b.entries()
	r := Running{Slot: slot, Trial: true}
	for _, e := range list {
		if e.slot == r.Slot && !e.counted {
			r.Trial = false
		}
	}
	return r, err
}

// parseSelected reads the value of the variable: four bytes of attributes, and the name of
// the entry in UTF-16 with the low byte first.
func parseSelected(raw []byte) (Slot, error) {
	var name []uint16
	for i := 4; i+1 < len(raw); i += 2 {
		if c := uint16(raw[i]) | uint16(raw[i+1])<<8; c != 0 {
			name = append(name, c)
		}
	}
	m := entryName.FindStringSubmatch(string(utf16.Decode(name)))
	if m == nil {
		return "", fmt.Errorf("the boot loader has booted %.60q, which is no slot: update this board by flashing it", string(utf16.Decode(name)))
	}
	return Slot(m[1]), nil
}

// Disarm removes the entries of the idle slot.
func (b *SystemdBoot) Disarm(idle Slot) error {
	list, err := b.entries()
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.slot == idle {
			if err := b.steps.remove(e.path); err != nil {
				return err
			}
		}
	}
	return b.steps.remove(b.aside(idle))
}

// aside is where an entry is written before it counts: the loader reads names that end in
// .conf.
func (b *SystemdBoot) aside(slot Slot) string {
	return filepath.Join(b.dir(), "skerry-"+string(slot)+".new")
}

// Arm writes an entry for idle with one try.
func (b *SystemdBoot) Arm(idle Slot, version string) (reboot string, err error) {
	if err := b.Disarm(idle); err != nil {
		return "", err
	}
	list, err := b.entries()
	if err != nil {
		return "", err
	}
	generation := uint64(0)
	for _, e := range list {
		generation = max(generation, e.generation)
	}
	text := fmt.Appendf(nil, "title Skerry %s (slot %s)\nsort-key skerry\nversion %d\nefi %s\n", version, idle, generation+1, ImagePath(idle))
	if err := b.steps.write(context.Background(), b.aside(idle), false, 0o644, bytes.NewReader(text)); err != nil {
		return "", err
	}
	return "", b.steps.rename(b.aside(idle), filepath.Join(b.dir(), "skerry-"+string(idle)+"+1.conf"))
}

// ImagePath is where the unified kernel image of a slot is on the EFI system partition.
func ImagePath(slot Slot) string { return "/EFI/skerry/" + string(slot) + ".efi" }

// Keep takes the counter off the entry of slot.
func (b *SystemdBoot) Keep(slot Slot) error {
	list, err := b.entries()
	if err != nil {
		return err
	}
	kept := filepath.Join(b.dir(), "skerry-"+string(slot)+".conf")
	_, err = os.Lstat(kept)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there := err == nil
	for _, e := range list {
		switch {
		case e.slot != slot || !e.counted:
			continue
		case !there:
			err, there = b.steps.rename(e.path, kept), true
		default:
			err = b.steps.remove(e.path)
		}
		if err != nil {
			return err
		}
	}
	if !there {
		return fmt.Errorf("%s: the loader entry of the slot that runs is gone: apply the update again", kept)
	}
	return nil
}
