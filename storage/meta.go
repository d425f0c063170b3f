package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// meta is one of the two pages that name the trees of a transaction.
type meta struct {
	pageSize                        uint32
	root, freelist, highWater, txID uint64
}

// parseMeta reports whether the page is whole.
func parseMeta(b []byte) (m meta, ok bool) {
	p := b[pageHeader:]
	le := binary.LittleEndian
	h := fnv.New64a()
	h.Write(p[:metaSize])
	ok = le.Uint32(p) == metaMagic && le.Uint32(p[4:]) == metaVersion && le.Uint64(p[metaSize:]) == h.Sum64()
	return meta{
		pageSize: le.Uint32(p[8:]), root: le.Uint64(p[16:]),
		freelist: le.Uint64(p[32:]), highWater: le.Uint64(p[40:]), txID: le.Uint64(p[48:]),
	}, ok
}

// newestMeta returns the meta page that bbolt will go by.
func newestMeta(r io.ReaderAt, size int64) (best meta, err error) {
	if size < 4*pageSize {
		return meta{}, fmt.Errorf("%d bytes are no database", size)
	}
	var buf [2 * pageSize]byte
	if _, err := r.ReadAt(buf[:], 0); err != nil {
		return meta{}, err
	}
	for i, p := range []page{parsePage(buf[:pageSize]), parsePage(buf[pageSize:])} {
		if p.id != uint64(i) || p.flags != flagMeta { // alike before and after any write
			return meta{}, fmt.Errorf("page %d is no meta page", i)
		}
	}
	m0, ok0 := parseMeta(buf[:pageSize])
	m1, ok1 := parseMeta(buf[pageSize:])
	switch {
	case !ok0 && !ok1:
		return meta{}, errors.New("no valid meta page")
	case ok0 && m0.pageSize != pageSize, ok1 && m1.pageSize != pageSize:
		return meta{}, errors.New("pages of an unknown size")
	case ok0 && (!ok1 || m0.txID > m1.txID):
		best = m0
	default:
		best = m1
	}
	// With the first page gone bbolt searches for the second at these places.
	for at := 1024; !ok0 && at < pageSize; at *= 2 {
		if binary.LittleEndian.Uint32(buf[at+pageHeader:]) == metaMagic {
			return meta{}, errors.New("a meta page in the wrong place")
		}
	}
	if best.highWater < 4 || best.highWater > uint64(size)/pageSize {
		return meta{}, fmt.Errorf("%d pages are said to be in use, the file has %d", best.highWater, size/pageSize)
	}
	return best, nil
}
