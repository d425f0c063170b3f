package update

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
)

// Tryboot is the boot of a Raspberry Pi, whose firmware reads which partition to boot from
// autoboot.txt on the first one, and takes the partition under [tryboot] once after a
// reboot that it was told so before. It keeps that flag in memory, so nothing is written to
// arm it, and a reset or a power cut falls back by itself. The rules are of autoboot.txt in
// the Raspberry Pi's documentation of config.txt.
type Tryboot struct {
	// Autoboot is the path of autoboot.txt.
	Autoboot string
	// DeviceTree is the directory that the firmware tells the kernel what it booted in,
	// /proc/device-tree/chosen/bootloader.
	DeviceTree string
	// Partitions are the numbers, 2 to 9, of the partitions with the firmware's files of
	// the slots; one digit, so that the file is rewritten in place.
	Partitions map[Slot]int
	// Flag has the firmware take the partition under [tryboot] at the next reboot, or not.
	Flag func(try bool) error

	steps steps
}

// tryArgument is the argument of reboot(2) that asks for the partition under [tryboot].
const tryArgument = "0 tryboot"

// NewTryboot is the boot of a board whose first partition is mounted at dir, with the
// partitions 2 and 3 for the slots.
func NewTryboot(dir string) *Tryboot {
	return &Tryboot{filepath.Join(dir, "autoboot.txt"), "/proc/device-tree/chosen/bootloader", map[Slot]int{A: 2, B: 3}, newKernelFlag().set, realSteps{}}
}

// Running reads what the firmware has booted.
func (t *Tryboot) Running() (Running, error) {
	number, err := t.cell("partition")
	if err != nil {
		return Running{}, err
	}
	trial, err := t.cell("tryboot")
	if err != nil {
		return Running{}, err
	}
	for slot, n := range t.Partitions {
		if int(number) == n {
			// Once kept, it is no trial any more, though it was booted as one.
			kept := bytes.Equal(t.current(), t.text(slot))
			return Running{slot, trial != 0 && !kept}, nil
		}
	}
	return Running{}, fmt.Errorf("the firmware has booted partition %d, which is no slot: update this board by flashing it", number)
}

// cell reads one number of the device tree, 32 bits with the highest first.
func (t *Tryboot) cell(name string) (uint32, error) {
	b, err := os.ReadFile(filepath.Join(t.DeviceTree, name))
	if err != nil {
		return 0, fmt.Errorf("%w: the firmware does not say what it has booted: update its EEPROM with rpi-eeprom-update", err)
	}
	if len(b) != 4 {
		return 0, fmt.Errorf("%s: %d bytes are no number: update the EEPROM with rpi-eeprom-update", name, len(b))
	}
	return binary.BigEndian.Uint32(b), nil
}

func (t *Tryboot) text(byDefault Slot) []byte {
	return fmt.Appendf(nil, "[all]\ntryboot_a_b=1\nboot_partition=%d\n[tryboot]\nboot_partition=%d\n", t.Partitions[byDefault], t.Partitions[byDefault.Other()])
}

func (t *Tryboot) current() []byte {
	b, _ := os.ReadFile(t.Autoboot)
	return b
}

// set writes autoboot.txt. It is changed in place, within its one sector, where it differs
// in the two numbers only: a rename on FAT may lose both names, and without the file the
// board does not boot. Whichever of the numbers is the new one, a whole slot is booted,
// as set is called to change them only while both are.
func (t *Tryboot) set(byDefault Slot) error {
	want, have := t.text(byDefault), t.current()
	switch {
	case bytes.Equal(have, want):
		return nil
	case len(have) == len(want):
		return t.steps.overwrite(t.Autoboot, want)
	}
	return t.steps.replace(t.Autoboot, want)
}

// Disarm has the firmware boot the other slot.
func (t *Tryboot) Disarm(idle Slot) error {
	if err := t.Flag(false); err != nil {
		return err
	}
	return t.set(idle.Other())
}

// Arm sets the firmware's flag, and returns the argument of the reboot that tries idle, which
// the kernel of the Raspberry Pi understands by itself.
func (t *Tryboot) Arm(idle Slot, _ string) (reboot string, err error) {
	if err := t.set(idle.Other()); err != nil {
		return "", err
	}
	return tryArgument, t.Flag(true)
}

// Keep has the firmware boot slot.
func (t *Tryboot) Keep(slot Slot) error { return t.set(slot) }
