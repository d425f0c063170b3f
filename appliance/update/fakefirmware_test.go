package update

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
)

// firmware boots a board: it chooses the slot and tells the system so. It is a fake of
// what a real board has, but for the Directory, whose Start is the real one. reboot is the
// argument of the reboot before; power was lost before this boot if it is not asked.
type firmware interface {
	boot(reboot string) (Slot, error)
}

// fakePi does what the Raspberry Pi's documentation says of autoboot.txt. flag is what it
// keeps in memory, which a loss of power clears.
type fakePi struct {
	t    *Tryboot
	flag *bool
}

func (f fakePi) boot(reboot string) (Slot, error) {
	text, err := os.ReadFile(f.t.Autoboot)
	if err != nil {
		return "", err
	}
	if len(text) > 512 {
		return "", fmt.Errorf("autoboot.txt has %d bytes", len(text))
	}
	tryboot := *f.flag && reboot == tryArgument
	*f.flag = false
	applies, partition, ab := true, 0, false
	for line := range strings.Lines(string(text)) {
		switch key, value, _ := strings.Cut(strings.TrimSpace(line), "="); {
		case key == "[all]":
			applies = true
		case key == "[tryboot]":
			applies = tryboot
		case applies && key == "boot_partition":
			partition, _ = strconv.Atoi(value)
		case applies && key == "tryboot_a_b":
			ab = value == "1"
		}
	}
	if !ab {
		return "", fmt.Errorf("no A/B in autoboot.txt:\n%s", text)
	}
	tell := func(name string, v uint32) {
		err = os.WriteFile(filepath.Join(f.t.DeviceTree, name), binary.BigEndian.AppendUint32(nil, v), 0o644)
	}
	tell("partition", uint32(partition))
	tell("tryboot", map[bool]uint32{true: 1}[tryboot])
	switch partition {
	case 2:
		return A, err
	case 3:
		return B, err
	}
	return "", fmt.Errorf("no partition %d", partition)
}

// fakeSystemdBoot does what the Boot Loader Specification says of entries with counters.
type fakeSystemdBoot struct{ b *SystemdBoot }

var (
	fakeCounter = regexp.MustCompile(`^(.*)\+([0-9]+)(?:-([0-9]+))?\.conf$`)
	fakeEFI     = regexp.MustCompile(`(?m)^efi /EFI/skerry/([ab])\.efi$`)
	fakeVersion = regexp.MustCompile(`(?m)^version ([0-9]+)$`)
)

func (f fakeSystemdBoot) boot(string) (Slot, error) {
	dir := filepath.Join(f.b.ESP, "loader", "entries")
	files, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var best string
	var bestText []byte
	bestBad, bestVersion := true, -1
	for _, e := range files {
		if !strings.HasSuffix(e.Name(), ".conf") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		bad, version := false, 0
		if m := fakeCounter.FindStringSubmatch(e.Name()); m != nil {
			bad = m[2] == "0"
		}
		if m := fakeVersion.FindSubmatch(text); m != nil {
			version, _ = strconv.Atoi(string(m[1]))
		}
		if best == "" || bestBad && !bad || bestBad == bad && version > bestVersion {
			best, bestText, bestBad, bestVersion = e.Name(), text, bad, version
		}
	}
	m := fakeEFI.FindSubmatch(bestText)
	if m == nil {
		return "", fmt.Errorf("no entry to boot among %v: %q", files, bestText)
	}
	if c := fakeCounter.FindStringSubmatch(best); c != nil && !bestBad {
		left, _ := strconv.Atoi(c[2])
		done, _ := strconv.Atoi(c[3])
		counted := fmt.Sprintf("%s+%d-%d.conf", c[1], left-1, done+1)
		if err := f.b.steps.rename(filepath.Join(dir, best), filepath.Join(dir, counted)); err != nil {
			return "", err
		}
		best = counted
	}
	raw := new(bytes.Buffer)
	raw.Write([]byte{6, 0, 0, 0}) // attributes
	binary.Write(raw, binary.LittleEndian, append(utf16.Encode([]rune(best)), 0))
	return Slot(m[1]), os.WriteFile(filepath.Join(f.b.Variables, selected), raw.Bytes(), 0o644)
}

// starter is the real start of the program of a package.
type starter struct{ d *Directory }

func (s starter) boot(string) (Slot, error) {
	r, err := s.d.Start()
	return r.Slot, err
}
