package main

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

func put(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// variable is a UEFI variable with a text, as efivarfs shows it.
func variable(text string) []byte {
	b := []byte{6, 0, 0, 0}
	for _, c := range append(utf16.Encode([]rune(text)), 0) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	return b
}

func TestSlotThatUEFIHasChosen(t *testing.T) {
	for name, want := range map[string]string{"skerry-a.conf": "a", "skerry-b+0-1.conf": "b", "skerry-b": "b", "skerry-c.conf": "", "auto-osx": "", "": ""} {
		dir := t.TempDir()
		put(t, filepath.Join(dir, entrySelected), variable(name))
		put(t, filepath.Join(dir, devicePart), variable("0123ABCD-0000"))
		got, err := chosenByUEFI(dir)
		if got.slot != want || (err == nil) != (want != "") || err == nil && got.esp != "0123abcd-0000" {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	if _, err := chosenByUEFI(t.TempDir()); err == nil {
		t.Error("a loader that says nothing")
	}
}

func TestSlotThatThePiHasChosen(t *testing.T) {
	for n, want := range map[byte]string{1: "", 2: "a", 3: "b", 4: ""} {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "partition"), []byte{0, 0, 0, n})
		if got, err := chosenByPi(dir); got.slot != want || (err == nil) != (want != "") {
			t.Errorf("partition %d: %+v, %v", n, got, err)
		}
	}
}

func FuzzChosen(f *testing.F) {
	f.Add(variable("skerry-b+0-1.conf"), []byte{0, 0, 0, 2})
	f.Add([]byte{6}, []byte{})
	f.Fuzz(func(t *testing.T, entry, number []byte) {
		for _, ask := range []func() (string, error){func() (string, error) { return slotOfEntry(entry) }, func() (string, error) { return slotOfNumber(number) }} {
			if slot, err := ask(); (err == nil) != (slot == "a" || slot == "b") {
				t.Errorf("slot %q of %q and %v: %v", slot, entry, number, err)
			}
		}
	})
}

// Two disks have an image of Skerry; the one that the loader came from is taken.
func TestPartitions(t *testing.T) {
	sys := t.TempDir()
	for dev, text := range map[string]string{
		"vda":  "DEVNAME=vda\nDEVTYPE=disk\n",
		"vda1": "DEVNAME=vda1\nDEVTYPE=partition\nPARTNAME=skerry-esp\nPARTUUID=AAAA-1\n",
		"vda2": "DEVNAME=vda2\nDEVTYPE=partition\nPARTNAME=skerry-root-a\nPARTUUID=aaaa-2\n",
		"vda3": "DEVNAME=vda3\nDEVTYPE=partition\nPARTNAME=skerry-data\n",
		"sda1": "DEVNAME=sda1\nDEVTYPE=partition\nPARTNAME=skerry-esp\nPARTUUID=bbbb-1\n",
		"sda2": "DEVNAME=sda2\nDEVTYPE=partition\nPARTNAME=skerry-root-a\n",
		"sda3": "DEVNAME=sda3\nDEVTYPE=partition\nPARTNAME=skerry-data\n",
		"sdb1": "DEVNAME=sdb1\nDEVTYPE=partition\nPARTNAME=skerry-root-b\n",
	} {
		at := filepath.Join(sys, "devices", dev[:3])
		if len(dev) > 3 {
			at = filepath.Join(at, dev)
		}
		put(t, filepath.Join(at, "uevent"), []byte(text))
		if err := os.MkdirAll(filepath.Join(sys, "class/block"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(at, filepath.Join(sys, "class/block", dev)); err != nil {
			t.Fatal(err)
		}
	}
	list := partitions(sys)
	for _, c := range []struct {
		chosen
		root, data string
	}{
		{chosen{"a", "aaaa-1"}, "/dev/vda2", "/dev/vda3"},
		{chosen{"a", "bbbb-1"}, "/dev/sda2", "/dev/sda3"},
		{chosen{"a", ""}, "/dev/sda2", "/dev/sda3"},
		{chosen{"b", ""}, "", ""}, // a disk with half of it
	} {
		if root, data := c.choose(list); root != c.root || data != c.data {
			t.Errorf("%+v: %s and %s", c.chosen, root, data)
		}
	}
}

func TestModulesAreLoadedAfterWhatTheyNeed(t *testing.T) {
	var order []string
	m := &modules{paths: map[string]string{}, needs: map[string][]string{}, loaded: map[string]bool{}, tried: map[string]bool{}}
	m.insert = func(path string) error { order = append(order, nameOf(path)); return nil }
	m.parse("kernel/virtio_blk.ko: kernel/virtio-core.ko\nkernel/virtio-core.ko:\nkernel/usb.ko:\n", "virtio:d00000002v* virtio_blk\nusb:v*p* usb\nof:N*T*Cbrcm,bcm2711-sdhciC* usb\n")
	sys := t.TempDir()
	put(t, filepath.Join(sys, "pci0/virtio0/modalias"), []byte("virtio:d00000002v00001AF4\n"))
	m.drive(sys)
	m.drive(sys)
	if want := []string{"virtio_core", "virtio_blk"}; !slices.Equal(order, want) {
		t.Errorf("%q", order)
	}
	if names := m.drivers("of:NsdhciT(null)Cbrcm,bcm2711-sdhciCother/x"); !slices.Equal(names, []string{"usb"}) {
		t.Errorf("%q", names)
	}
	if err := m.load("nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// Whatever a power cut at the first start has left, the next start has an id and a name, and
// both stay.
func TestFirstStartOfEtc(t *testing.T) {
	made := func() string { return strings.Repeat("ab", 16) }
	for _, left := range []map[string]string{
		{}, {"machine-id": ""}, {"machine-id": "short\n"}, {"machine-id.new": "x"}, {"machine-id": strings.Repeat("cd", 16) + "\n"},
		{"machine-id": strings.Repeat("cd", 16) + "\n", "hostname": ""}, {"hostname": "kitchen\n"},
	} {
		kept := filepath.Join(t.TempDir(), "etc")
		for name, text := range left {
			put(t, filepath.Join(kept, name), []byte(text))
		}
		read := func() (id, name string) {
			if err := prepareEtc(kept, made); err != nil {
				t.Fatal(err)
			}
			i, _ := os.ReadFile(filepath.Join(kept, "machine-id"))
			n, _ := os.ReadFile(filepath.Join(kept, "hostname"))
			return string(i), string(n)
		}
		id, name := read()
		want := "skerry-" + id[:4] + "\n"
		if left["hostname"] != "" {
			want = left["hostname"]
		}
		if !isID([]byte(id)) || name != want {
			t.Errorf("%v: %q, %q", left, id, name)
		}
		if again, same := read(); again != id || same != name {
			t.Errorf("%v: %q and %q became %q and %q", left, id, name, again, same)
		}
	}
	if a, b := randomID(), randomID(); a == b || !isID([]byte(a+"\n")) {
		t.Errorf("%s, %s", a, b)
	}
}
