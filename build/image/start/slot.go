package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/sys/unix"
)

// chosen is what the boot loader has chosen.
type chosen struct {
	slot string // a or b
	// esp is the unique id of the partition that the loader came from, in lower case; empty
	// where it does not say.
	esp string
}

// Variables of systemd-boot.
const (
	loaderVendor  = "-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
	variables     = "/sys/firmware/efi/efivars"
	entrySelected = "LoaderEntrySelected" + loaderVendor
	devicePart    = "LoaderDevicePartUUID" + loaderVendor
	bootloader    = "/proc/device-tree/chosen/bootloader"
)

var slotEntry = regexp.MustCompile(`^skerry-([ab])(\+[0-9]+(-[0-9]+)?)?(\.conf)?$`)

// findChosen asks UEFI's variables, or what the firmware of a Raspberry Pi has left in the
// device tree.
func findChosen() (chosen, error) {
	if _, err := os.Stat("/sys/firmware/efi"); err == nil {
		if err := unix.Mount("efivarfs", variables, "efivarfs", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, ""); err != nil && err != unix.EBUSY {
			return chosen{}, fmt.Errorf("%s: %w", variables, err)
		}
		return chosenByUEFI(variables)
	}
	return chosenByPi(bootloader)
}

func chosenByUEFI(dir string) (chosen, error) {
	raw, err := os.ReadFile(filepath.Join(dir, entrySelected))
	if err != nil {
		return chosen{}, fmt.Errorf("the boot loader does not say which slot it has chosen: %w", err)
	}
	slot, err := slotOfEntry(raw)
	if err != nil {
		return chosen{}, err
	}
	part, _ := os.ReadFile(filepath.Join(dir, devicePart)) // older loaders do not say
	return chosen{slot, strings.ToLower(text16(part))}, nil
}

// slotOfEntry is the slot whose entry a variable names.
func slotOfEntry(raw []byte) (string, error) {
	m := slotEntry.FindStringSubmatch(text16(raw))
	if m == nil {
		return "", fmt.Errorf("the boot loader has chosen %.60q, which is no slot", text16(raw))
	}
	return m[1], nil
}

// text16 is the text of a variable: four bytes of attributes, then UTF-16 with the low
// byte first.
func text16(raw []byte) string {
	var s []uint16
	for i := 4; i+1 < len(raw); i += 2 {
		if c := binary.LittleEndian.Uint16(raw[i:]); c != 0 {
			s = append(s, c)
		}
	}
	return string(utf16.Decode(s))
}

// chosenByPi reads the number of the partition that the firmware has booted.
func chosenByPi(dir string) (chosen, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "partition"))
	if err != nil {
		return chosen{}, fmt.Errorf("the firmware does not say which partition it has booted (%w): update its EEPROM with rpi-eeprom-update", err)
	}
	slot, err := slotOfNumber(raw)
	return chosen{slot: slot}, err
}

// slotOfNumber is the slot of a partition, whose number the device tree has in four bytes,
// the high one first: 2 and 3 are those of the slots.
func slotOfNumber(raw []byte) (string, error) {
	if len(raw) != 4 {
		return "", fmt.Errorf("the firmware says in %d bytes which partition it has booted, not in four", len(raw))
	}
	switch n := binary.BigEndian.Uint32(raw); n {
	case 2:
		return "a", nil
	case 3:
		return "b", nil
	default:
		return "", fmt.Errorf("the firmware has booted partition %d, which is no slot", n)
	}
}

// partition is one that the kernel has found.
type partition struct{ dev, label, id, disk string }

// partitions reads /sys/class/block.
func partitions(sys string) (list []partition) {
	files, _ := filepath.Glob(filepath.Join(sys, "class/block/*/uevent"))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		v := map[string]string{}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			v[key] = value
		}
		if v["DEVTYPE"] != "partition" {
			continue
		}
		where, err := filepath.EvalSymlinks(filepath.Dir(f))
		if err != nil {
			continue
		}
		list = append(list, partition{"/dev/" + v["DEVNAME"], v["PARTNAME"], strings.ToLower(v["PARTUUID"]), filepath.Base(filepath.Dir(where))})
	}
	slices.SortFunc(list, func(a, b partition) int { return strings.Compare(a.dev, b.dev) })
	return list
}

// Labels of the partitions.
const (
	labelRoot = "skerry-root-"
	labelData = "skerry-data"
)

// choose picks the slot and the data partition of one disk: the one that the loader came
// from, where that is known, else the first that has both. Either is empty where there is
// none.
func (c chosen) choose(list []partition) (rootDev, dataDev string) {
	disk := ""
	for _, p := range list {
		if c.esp != "" && p.id == c.esp {
			disk = p.disk
		}
	}
	for _, r := range list {
		if r.label != labelRoot+c.slot || disk != "" && r.disk != disk {
			continue
		}
		for _, d := range list {
			if d.label == labelData && d.disk == r.disk {
				return r.dev, d.dev
			}
		}
	}
	return "", ""
}

// patience is how long the card may take to appear: USB disks take some seconds, a busy emulator minutes.
const patience = 3 * time.Minute

// awaitPartitions loads drivers until the partitions are there.
func awaitPartitions(mods *modules, c chosen) (rootDev, dataDev string, err error) {
	for began := time.Now(); time.Since(began) < patience; time.Sleep(100 * time.Millisecond) {
		mods.drive("/sys/devices")
		if rootDev, dataDev = c.choose(partitions("/sys")); rootDev != "" {
			return rootDev, dataDev, nil
		}
	}
	var have []string
	for _, p := range partitions("/sys") {
		have = append(have, p.dev+" "+p.label)
	}
	return "", "", fmt.Errorf("no disk has the partitions %s%s and %s; there are: %s", labelRoot, c.slot, labelData, strings.Join(have, ", "))
}
