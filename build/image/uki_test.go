package main

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"strings"
	"testing"
)

// stub is a PE file for a machine with one section and room for more headers.
func stub(machine uint16, headers uint32) []byte {
	const at, optional = 0x40, 240
	b := make([]byte, headers+512)
	copy(b, "MZ")
	binary.LittleEndian.PutUint32(b[0x3c:], at)
	copy(b[at:], "PE\x00\x00")
	coff := b[at+4:]
	binary.LittleEndian.PutUint16(coff, machine)
	binary.LittleEndian.PutUint16(coff[2:], 1)
	binary.LittleEndian.PutUint16(coff[16:], optional)
	opt := coff[coffHeader:]
	binary.LittleEndian.PutUint16(opt, 0x20b)
	binary.LittleEndian.PutUint32(opt[32:], 4096) // alignment in memory
	binary.LittleEndian.PutUint32(opt[36:], 512)  // and in the file
	binary.LittleEndian.PutUint32(opt[offSizeOfImage:], 8192)
	binary.LittleEndian.PutUint32(opt[offSizeOfHead:], headers)
	binary.LittleEndian.PutUint32(opt[108:], 16)
	s := opt[optional:]
	copy(s, ".text")
	binary.LittleEndian.PutUint32(s[8:], 100)
	binary.LittleEndian.PutUint32(s[12:], 4096)
	binary.LittleEndian.PutUint32(s[16:], 512)
	binary.LittleEndian.PutUint32(s[20:], headers)
	return b
}

func TestUnify(t *testing.T) {
	want := []section{{".osrel", []byte("ID=debian\n")}, {".cmdline", []byte("quiet")}, {".linux", bytes.Repeat([]byte("kernel"), 2000)}}
	out, err := unify(stub(pe.IMAGE_FILE_MACHINE_ARM64, 1024), want)
	if err != nil {
		t.Fatal(err)
	}
	f, err := pe.NewFile(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Sections) != 1+len(want) {
		t.Fatalf("%d sections", len(f.Sections))
	}
	end := uint32(0)
	for i, s := range f.Sections {
		if s.VirtualAddress < end || s.VirtualAddress%4096 != 0 || s.Offset%512 != 0 {
			t.Errorf("%s is at %#x in memory after %#x, at %#x in the file", s.Name, s.VirtualAddress, end, s.Offset)
		}
		end = s.VirtualAddress + s.VirtualSize
		if i == 0 {
			continue
		}
		data, err := s.Data()
		if err != nil || !bytes.Equal(data[:s.VirtualSize], want[i-1].data) || s.Name != want[i-1].name {
			t.Errorf("section %s: %v, %d bytes", s.Name, err, len(data))
		}
	}
	if size := f.OptionalHeader.(*pe.OptionalHeader64).SizeOfImage; size < end || size%4096 != 0 {
		t.Errorf("the size in memory is %d, and what is in it ends at %d", size, end)
	}
}

func TestUnifyRefuses(t *testing.T) {
	many := make([]section, 20)
	for name, c := range map[string]struct {
		stub     []byte
		sections []section
		want     string
	}{
		"no PE file":      {[]byte("hello"), nil, "no PE file"},
		"another machine": {stub(pe.IMAGE_FILE_MACHINE_AMD64, 1024), nil, "not for arm64"},
		"no room":         {stub(pe.IMAGE_FILE_MACHINE_ARM64, 512), many, "room for"},
		"a long name":     {stub(pe.IMAGE_FILE_MACHINE_ARM64, 1024), []section{{".toolongname", nil}}, "too long"},
	} {
		if _, err := unify(c.stub, c.sections); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
