package main

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/update"
)

// The firmware knows the boot partitions of the slots by their numbers, and skerry update by
// their labels.
func TestPartitionsOfThePi(t *testing.T) {
	list := piVolumes("parts", "work")
	for slot, number := range update.NewTryboot("").Partitions {
		want := labelBoot + string(slot)
		if got := list[number-1].label; got != want {
			t.Errorf("partition %d is %s, and slot %s boots from it", number, got, slot)
		}
		if dev := installedPi().Devices[slot][bootFile]; filepath.Base(dev) != want {
			t.Errorf("an update of slot %s is written to %s", slot, dev)
		}
	}
}

// What is flashed is what the record of updates has the sum of, whatever was on the card:
// else nobody could go back to it.
func TestFlashedBootIsWhole(t *testing.T) {
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	for _, name := range []string{"mkfs.vfat", "mcopy"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("skipped: build/image/tools.sh says what is missing: ", err)
		}
	}
	dir := t.TempDir()
	from, boot := filepath.Join(dir, "from"), filepath.Join(dir, bootFile)
	if err := write(filepath.Join(from, "config.txt"), []byte(piConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := makeSlotFAT(t.Context(), boot, from, leastFAT32); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(boot)
	if err != nil {
		t.Fatal(err)
	}
	card, err := os.Create(filepath.Join(dir, "card"))
	if err != nil {
		t.Fatal(err)
	}
	defer card.Close()
	if _, err := card.Write(bytes.Repeat([]byte("old"), len(want)/3+1)); err != nil {
		t.Fatal(err)
	}
	if err := copySparse(card, 0, boot, bootSize); err != nil {
		t.Fatal(err)
	}
	have := make([]byte, len(want))
	if _, err := card.ReadAt(have, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Error("the card does not have what the update's file has")
	}
}

// Every file of an update has a place in both slots, on every board.
func TestUpdatesHavePlaces(t *testing.T) {
	for name, b := range boards {
		for _, slot := range []update.Slot{update.A, update.B} {
			var have []string
			for file := range b.installed.Devices[slot] {
				have = append(have, file)
			}
			for file := range b.installed.Places[slot] {
				have = append(have, file)
			}
			slices.Sort(have)
			if want := slices.Sorted(slices.Values(b.payload)); !slices.Equal(have, want) {
				t.Errorf("%s, slot %s: there are places for %v, and an update has %v", name, slot, have, want)
			}
		}
		if b.name != name || b.installed.Board != name {
			t.Errorf("%s is called %s, and its updates are for %s", name, b.name, b.installed.Board)
		}
	}
}

// templateSource is a module as small as one can be, of a kernel that there is not.
const templateSource = `.section .modinfo,"a"
.asciz "license=GPL"
.asciz "name=a_name"
.asciz "vermagic=7.0 SMP aarch64"
.text
.globl init_module
init_module: ret
.globl cleanup_module
cleanup_module: ret
.section .gnu.linkonce.this_module,"aw"
.zero 24
.asciz "a_name"
.zero 57
.quad init_module
.zero 32
.quad cleanup_module
.zero 8
`

// The modules for the firmware have what the kernel looks for in a module, at the places
// where a module of the same kernel has it.
func TestFlagModules(t *testing.T) {
	cc, err := exec.LookPath("aarch64-linux-gnu-gcc")
	if err != nil {
		t.Skip("skipped: make cross brings the compiler for arm64: ", err)
	}
	dir := t.TempDir()
	source, object := filepath.Join(dir, "template.s"), filepath.Join(dir, "template.ko")
	if err := os.WriteFile(source, []byte(templateSource), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc, "-c", "-o", object, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	like, err := readTemplate(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, uneven := range []string{".byte 0\n", ".zero 7\n"} {
		if err := os.WriteFile(source, []byte(templateSource+uneven), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(cc, "-c", "-o", object, source).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if data, err := os.ReadFile(object); err != nil {
			t.Fatal(err)
		} else if _, err := readTemplate(data); err == nil {
			t.Errorf("a module that ends in %q is taken", uneven)
		}
	}
	if like.name != 24 || like.init != 88 || like.exit != 128 || like.magic != "7.0 SMP aarch64" {
		t.Errorf("%+v", like)
	}
	for _, try := range []bool{true, false} {
		name := update.FlagModule(try)
		path := filepath.Join(dir, "out", name+".ko")
		if err := makeFlagModule(t.Context(), like, name, try, dir, path); err != nil {
			t.Fatal(err)
		}
		made, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		again, err := readTemplate(made)
		if err != nil {
			t.Fatal(err)
		}
		if again.init != like.init || again.exit != like.exit || again.name != like.name || again.magic != like.magic || len(again.this) != len(like.this) {
			t.Errorf("%+v is not like %+v", again, like)
		}
		if !bytes.HasPrefix(again.this[again.name:], append([]byte(name), 0)) {
			t.Errorf("its name is %q", again.this[again.name:])
		}
		f, err := elf.NewFile(bytes.NewReader(made))
		if err != nil {
			t.Fatal(err)
		}
		for _, section := range []string{".plt", ".init.plt", ".text.ftrace_trampoline"} {
			if f.Section(section) == nil {
				t.Errorf("there is no section %s", section)
			}
		}
		symbols, err := f.Symbols()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range symbols {
			if s.Section == elf.SHN_UNDEF && s.Name != "" && s.Name != "of_node_put" && !strings.HasPrefix(s.Name, "rpi_firmware_") {
				t.Errorf("it calls %s", s.Name)
			}
		}
	}
}

func FuzzModuleTemplate(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	if cc, err := exec.LookPath("aarch64-linux-gnu-gcc"); err == nil {
		dir := f.TempDir()
		source, object := filepath.Join(dir, "t.s"), filepath.Join(dir, "t.o")
		if os.WriteFile(source, []byte(templateSource), 0o644) == nil && exec.Command(cc, "-c", "-o", object, source).Run() == nil {
			if data, err := os.ReadFile(object); err == nil {
				f.Add(data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := readTemplate(data); err == nil {
			m.assembly("a_longer_name_than_there_was")
		}
	})
}
