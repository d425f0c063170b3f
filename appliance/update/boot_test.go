package update

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf16"
)

// What was booted and is no slot is said to be none, and nothing is written.
func TestForeignBoot(t *testing.T) {
	dir := t.TempDir()
	pi := NewTryboot(dir)
	pi.DeviceTree = filepath.Join(dir, "tree")
	if _, err := pi.Running(); err == nil {
		t.Error("a board without a device tree runs a slot")
	}
	for _, cell := range []string{"", "\x00\x00\x00\x01", "\x00\x00\x00\x02\x00"} {
		write(t, filepath.Join(pi.DeviceTree, "partition"), []byte(cell))
		write(t, filepath.Join(pi.DeviceTree, "tryboot"), make([]byte, 4))
		if r, err := pi.Running(); err == nil {
			t.Errorf("partition %q is slot %+v", cell, r)
		}
	}
	uefi := NewSystemdBoot(dir)
	uefi.Variables = dir
	if _, err := uefi.Running(); err == nil {
		t.Error("a board without EFI variables runs a slot")
	}
	write(t, filepath.Join(dir, selected), efiString("debian.conf"))
	if r, err := uefi.Running(); err == nil {
		t.Errorf("another system is slot %+v", r)
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("there are %v", files)
	}
}

// An image's own autoboot.txt, which may have comments, is written anew as a whole once.
func TestAutobootOfAnImage(t *testing.T) {
	pi := NewTryboot(t.TempDir())
	write(t, pi.Autoboot, []byte("# as flashed\n[all]\ntryboot_a_b=1\nboot_partition=2\n"))
	for _, slot := range []Slot{A, B, A} {
		if err := pi.Keep(slot); err != nil {
			t.Fatal(err)
		}
		if text := pi.current(); !bytes.Equal(text, pi.text(slot)) || len(text) > 512 {
			t.Errorf("slot %s: %q", slot, text)
		}
	}
}

func efiString(s string) []byte {
	b := []byte{6, 0, 0, 0}
	for _, c := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	return b
}

func FuzzParseSelected(f *testing.F) {
	f.Add(efiString("skerry-b+0-1.conf"))
	f.Add(efiString("debian.conf"))
	f.Add([]byte{6})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if slot, err := parseSelected(raw); err == nil && !slot.valid() {
			t.Fatalf("slot %q", slot)
		}
	})
}
