package main

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"fmt"
)

// section is one that a unified kernel image adds to systemd's stub; see the UAPI Group's
// specification "Unified Kernel Image".
type section struct {
	name string
	data []byte
}

// Sizes of what a PE file has in its headers, in bytes.
const (
	sectionHeader  = 40
	coffHeader     = 20
	offSizeOfImage = 56
	offSizeOfHead  = 60
)

// readOnlyData is the flags of a section that is only read.
const readOnlyData = 0x40000040

// unify returns stub with sections added: what ukify does, which is a program of its own in
// Debian 13 and not in 12. Sections follow one another in memory at the stub's alignment.
// It fails where the stub's headers have no room for them.
func unify(stub []byte, sections []section) ([]byte, error) {
	f, err := pe.NewFile(bytes.NewReader(stub))
	if err != nil {
		return nil, fmt.Errorf("the stub is no PE file: %w", err)
	}
	opt, ok := f.OptionalHeader.(*pe.OptionalHeader64)
	if !ok || f.Machine != pe.IMAGE_FILE_MACHINE_ARM64 {
		return nil, fmt.Errorf("the stub is for machine %#x, not for arm64", f.Machine)
	}
	at := int(binary.LittleEndian.Uint32(stub[0x3c:])) + 4 // of the COFF header
	optional := at + coffHeader
	table := optional + int(f.SizeOfOptionalHeader)
	if room := int(opt.SizeOfHeaders) - table; (len(f.Sections)+len(sections))*sectionHeader > room {
		return nil, fmt.Errorf("the stub's headers have room for %d sections, and %d are needed", room/sectionHeader, len(f.Sections)+len(sections))
	}
	fileAlign, memAlign := opt.FileAlignment, opt.SectionAlignment
	out := bytes.Clone(stub)
	end := uint32(0) // of what is in memory
	for _, s := range f.Sections {
		end = max(end, s.VirtualAddress+s.VirtualSize)
	}
	for i, s := range sections {
		if len(s.name) > 8 {
			return nil, fmt.Errorf("the name %s of a section is too long", s.name)
		}
		out = append(out, make([]byte, up(uint32(len(out)), fileAlign)-uint32(len(out)))...)
		address, size := up(end, memAlign), up(uint32(len(s.data)), fileAlign)
		h := out[table+(len(f.Sections)+i)*sectionHeader:]
		clear(h[:sectionHeader])
		copy(h[:8], s.name)
		binary.LittleEndian.PutUint32(h[8:], uint32(len(s.data)))
		binary.LittleEndian.PutUint32(h[12:], address)
		binary.LittleEndian.PutUint32(h[16:], size)
		binary.LittleEndian.PutUint32(h[20:], uint32(len(out)))
		binary.LittleEndian.PutUint32(h[36:], readOnlyData)
		out = append(append(out, s.data...), make([]byte, size-uint32(len(s.data)))...)
		end = address + uint32(len(s.data))
	}
	binary.LittleEndian.PutUint16(out[at+2:], uint16(len(f.Sections)+len(sections)))
	binary.LittleEndian.PutUint32(out[optional+offSizeOfImage:], up(end, memAlign))
	return out, nil
}

// up is n rounded up to a multiple of a.
func up(n, a uint32) uint32 { return (n + a - 1) / a * a }
