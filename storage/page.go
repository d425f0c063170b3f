package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// bbolt's file format, version 2, as far as it must be understood to know that
// bbolt can read a file safely. It is written in the machine's byte order, which
// is little-endian on everything this runs on.
const (
	pageSize   = 4096
	pageHeader = 16
	element    = 16

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10

	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 56 // without its checksum
)

type page struct {
	id       uint64
	flags    uint16
	count    int
	overflow uint32
	data     []byte // with the header and the overflow pages
}

func parsePage(b []byte) page {
	return page{
		id: binary.LittleEndian.Uint64(b), flags: binary.LittleEndian.Uint16(b[8:]),
		count: int(binary.LittleEndian.Uint16(b[10:])), overflow: binary.LittleEndian.Uint32(b[12:]), data: b,
	}
}

// entry is one element of a branch or leaf page. A branch has a child, a leaf
// element a value, which is a bucket's when bucket is set.
type entry struct {
	key, value []byte
	child      uint64
	pos        uint64 // of the key, from the element's beginning
	bucket     bool
}

// entries returns the elements of a page, bounds and key order checked.
func (p page) entries() ([]entry, error) {
	if pageHeader+element*p.count > len(p.data) {
		return nil, fmt.Errorf("page %d: %d elements do not fit", p.id, p.count)
	}
	// bbolt writes pages over zeroes, so that of an empty one nothing but its header is set.
	if p.count == 0 && slices.ContainsFunc(p.data[pageHeader:], func(b byte) bool { return b != 0 }) {
		return nil, fmt.Errorf("page %d: no elements, and yet it is not empty", p.id)
	}
	out := make([]entry, p.count)
	for i := range out {
		at := pageHeader + element*i
		if err := out[i].parse(p.data[at:], p.flags); err != nil {
			return nil, fmt.Errorf("page %d, element %d: %w", p.id, i, err)
		}
		// The keys begin where the elements end, so that the first of them betrays a count
		// that has changed: a lower one would hide records in silence.
		if i == 0 && out[i].pos != uint64(element*p.count) {
			return nil, fmt.Errorf("page %d: the first of %d elements lies at %d", p.id, p.count, out[i].pos)
		}
		if i > 0 && bytes.Compare(out[i-1].key, out[i].key) >= 0 {
			return nil, fmt.Errorf("page %d, element %d: keys are out of order", p.id, i)
		}
	}
	return out, nil
}

func (e *entry) parse(b []byte, flags uint16) error {
	le := binary.LittleEndian
	var pos, keySize, valueSize uint64
	if flags == flagBranch {
		pos, keySize = uint64(le.Uint32(b)), uint64(le.Uint32(b[4:]))
		e.child = le.Uint64(b[8:])
	} else {
		kind := le.Uint32(b)
		if kind > 1 {
			return fmt.Errorf("unknown kind %d", kind)
		}
		e.bucket = kind == 1
		pos, keySize, valueSize = uint64(le.Uint32(b[4:])), uint64(le.Uint32(b[8:])), uint64(le.Uint32(b[12:]))
	}
	if pos+keySize+valueSize > uint64(len(b)) || keySize == 0 {
		return fmt.Errorf("%d bytes of key and %d of value at %d do not fit", keySize, valueSize, pos)
	}
	e.pos, e.key, e.value = pos, b[pos:pos+keySize], b[pos+keySize:pos+keySize+valueSize]
	return nil
}
