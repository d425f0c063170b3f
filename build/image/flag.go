package main

import (
	"bytes"
	"context"
	"debug/elf"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"skerry/appliance/update"
)

// flagSource is the module that tells the firmware of a Raspberry Pi what to boot next.
//
//go:embed flag/flag.c
var flagSource []byte

// flagTemplate is a module of the kernel that has the firmware's driver, too.
const flagTemplate = "kernel/drivers/reset/reset-raspberrypi.ko.xz"

// makeFlagModules builds the two modules for the kernel in root, and puts them there.
func makeFlagModules(ctx context.Context, root, work string) error {
	dir, _, err := kernelOf(root)
	if err != nil {
		return err
	}
	data, err := readModule(filepath.Join(dir, flagTemplate))
	if err != nil {
		return err
	}
	like, err := readTemplate(data)
	if err != nil {
		return fmt.Errorf("%s: %w", flagTemplate, err)
	}
	for _, try := range []bool{true, false} {
		name := update.FlagModule(try)
		if err := makeFlagModule(ctx, like, name, try, work, filepath.Join(root, update.FlagModules, name+".ko")); err != nil {
			return err
		}
	}
	return nil
}

// moduleTemplate is what a module says of the kernel that it is for: how that describes a
// module in memory, and its version.
type moduleTemplate struct {
	this       []byte // the section .gnu.linkonce.this_module
	name       int    // where in it the name is, which has nameRoom bytes
	init, exit int    // where in it the addresses of the functions are
	magic      string
}

// nameRoom is how many bytes a module's name may have, the kernel's MODULE_NAME_LEN.
const nameRoom = 64 - 8

// thisModule is the section with the kernel's struct module.
const thisModule = ".gnu.linkonce.this_module"

func readTemplate(data []byte) (m moduleTemplate, err error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return m, err
	}
	this, info, relocations := f.Section(thisModule), f.Section(".modinfo"), f.Section(".rela"+thisModule)
	symbols, err := f.Symbols()
	if this == nil || info == nil || relocations == nil || err != nil {
		return m, errors.New("it is no kernel module")
	}
	if f.Section("__versions") != nil {
		return m, errors.New("its kernel wants the versions of symbols, which are not known here")
	}
	text, err := info.Data()
	if err != nil {
		return m, err
	}
	name := ""
	for field := range strings.SplitSeq(string(text), "\x00") {
		switch key, value, _ := strings.Cut(field, "="); key {
		case "name":
			name = value
		case "vermagic":
			m.magic = value
		}
	}
	if m.this, err = this.Data(); err != nil {
		return m, err
	}
	table, err := relocations.Data()
	if err != nil {
		return m, err
	}
	m.init, m.exit = -1, -1
	for ; len(table) >= 24; table = table[24:] { // an Elf64_Rela has 24 bytes
		at, symbol := int(binary.LittleEndian.Uint64(table)), int(binary.LittleEndian.Uint64(table[8:])>>32)
		if symbol < 1 || symbol > len(symbols) || at < 0 || at > len(m.this)-8 {
			return m, errors.New("its relocations lead out of it")
		}
		switch symbols[symbol-1].Name {
		case "init_module":
			m.init = at
		case "cleanup_module":
			m.exit = at
		}
	}
	m.name = bytes.Index(m.this, []byte(name+"\x00"))
	if name == "" || m.name < 0 || m.magic == "" || m.exit < 0 || m.init < m.name+nameRoom || (len(m.this)|m.init|m.exit)%8 != 0 {
		return m, errors.New("it does not say its name, its kernel, or how it begins and ends")
	}
	return m, nil
}

// assembly is what the kernel's build would add to a module.
func (m moduleTemplate) assembly(name string) string {
	this := bytes.Clone(m.this)
	clear(this[m.name : m.name+nameRoom])
	copy(this[m.name:], name)
	var b strings.Builder
	for _, field := range []string{"license=GPL", "description=What a Raspberry Pi's firmware boots next", "name=" + name, "depends=", "vermagic=" + m.magic} {
		fmt.Fprintf(&b, ".section .modinfo,\"a\"\n.asciz %q\n", field)
	}
	fmt.Fprintf(&b, ".section %s,\"aw\"\n.balign 64\n", thisModule)
	for i := 0; i < len(this); i += 8 {
		switch i {
		case m.init:
			b.WriteString(".quad init_module\n")
		case m.exit:
			b.WriteString(".quad cleanup_module\n")
		default:
			fmt.Fprintf(&b, ".quad %#x\n", binary.LittleEndian.Uint64(this[i:]))
		}
	}
	// The kernel fills these where calls reach too far, and refuses a module without them.
	for section, flags := range map[string]string{".plt": "ax", ".init.plt": "a", ".text.ftrace_trampoline": "ax", ".init.text.ftrace_trampoline": "a"} {
		fmt.Fprintf(&b, ".section %s,\"%s\",%%progbits\n.byte 0\n", section, flags)
	}
	b.WriteString(".section .note.GNU-stack,\"\",%progbits\n")
	return b.String()
}

// makeFlagModule compiles one of them to path.
func makeFlagModule(ctx context.Context, like moduleTemplate, name string, try bool, work, path string) error {
	cc := "aarch64-linux-gnu-gcc" // make cross sees that it is there
	if runtime.GOARCH == "arm64" {
		cc = "cc"
	}
	c, s := filepath.Join(work, name+".c"), filepath.Join(work, name+".this.s")
	for file, text := range map[string][]byte{c: flagSource, s: []byte(like.assembly(name))} {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	flag := "-DTRY=0"
	if try {
		flag = "-DTRY=1"
	}
	return tool(ctx, "", cc, "-nostdlib", "-r", "-O2", "-ffreestanding", "-fno-pic", "-mgeneral-regs-only", "-fno-stack-protector",
		"-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-mbranch-protection=bti", flag, "-o", path, c, s)
}
