package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxDepth bounds a tree: pages of two keys would need 2^32 leaves for it.
const maxDepth = 32

// verifier walks a bbolt file without mapping it. bbolt trusts its pages: a
// reference in a circle overflows its stack and one past the end faults, and
// neither can be caught.
type verifier struct {
	r     io.ReaderAt
	high  uint64   // pages in use
	seen  []bool   // by page
	names []string // of the buckets
	visit func(bucket, key string, value []byte)
}

// verify checks the structure of the file, hands every value to visit, and returns the
// names of the buckets. Its error wraps ErrDamaged.
func verify(r io.ReaderAt, size int64, visit func(bucket, key string, value []byte)) (names []string, err error) {
	m, err := newestMeta(r, size)
	if err == nil {
		v := &verifier{r: r, high: m.highWater, seen: make([]bool, m.highWater), visit: visit}
		v.seen[0], v.seen[1] = true, true
		err = v.file(m)
		names = v.names
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return names, nil
}

func (v *verifier) file(m meta) error {
	if err := v.tree(m.root, 0, nil, nil, v.bucket); err != nil {
		return err
	}
	if err := v.freelist(m.freelist); err != nil {
		return err
	}
	for id, seen := range v.seen {
		if !seen {
			return fmt.Errorf("page %d is neither used nor free", id)
		}
	}
	return nil
}

// load reads a page that nothing has referred to yet.
func (v *verifier) load(id uint64) (page, error) {
	if id >= v.high {
		return page{}, fmt.Errorf("page %d of %d", id, v.high)
	}
	var head [pageHeader]byte
	if _, err := v.r.ReadAt(head[:], int64(id)*pageSize); err != nil {
		return page{}, err
	}
	n := uint64(parsePage(head[:]).overflow) + 1
	if n > v.high-id {
		return page{}, fmt.Errorf("page %d is %d pages long", id, n)
	}
	buf := make([]byte, n*pageSize)
	if _, err := v.r.ReadAt(buf, int64(id)*pageSize); err != nil {
		return page{}, err
	}
	p := parsePage(buf)
	if p.id != id {
		return page{}, fmt.Errorf("page %d calls itself %d", id, p.id)
	}
	for i := range n {
		if err := v.mark(id + i); err != nil {
			return page{}, err
		}
	}
	return p, nil
}

func (v *verifier) mark(id uint64) error {
	if id >= v.high || v.seen[id] {
		return fmt.Errorf("page %d is referred to twice or out of range", id)
	}
	v.seen[id] = true
	return nil
}

// tree walks the pages below id, whose keys lie in [low, high), and hands over
// every element of a leaf.
func (v *verifier) tree(id uint64, depth int, low, high []byte, each func(entry) error) error {
	if depth > maxDepth {
		return fmt.Errorf("page %d is too deep", id)
	}
	p, err := v.load(id)
	if err != nil {
		return err
	}
	if p.flags != flagLeaf && (p.flags != flagBranch || p.count == 0) {
		return fmt.Errorf("page %d of kind %#x with %d elements in a tree", id, p.flags, p.count)
	}
	entries, err := p.entries()
	if err != nil {
		return err
	}
	for i, e := range entries {
		if i > 0 && bytes.Compare(e.key, entries[i-1].key) <= 0 ||
			bytes.Compare(e.key, low) < 0 || high != nil && bytes.Compare(e.key, high) >= 0 {
			return fmt.Errorf("page %d, element %d: its key belongs elsewhere", id, i)
		}
		if p.flags == flagLeaf {
			if err := each(e); err != nil {
				return fmt.Errorf("page %d, element %d: %w", id, i, err)
			}
			continue
		}
		next := high
		if i+1 < len(entries) {
			next = entries[i+1].key
		}
		if err := v.tree(e.child, depth+1, e.key, next, each); err != nil {
			return err
		}
	}
	return nil
}

// bucket walks one bucket, which lies in its element where it is small. The
// databases of this package have no buckets in buckets.
func (v *verifier) bucket(e entry) error {
	if !e.bucket || len(e.value) < 16 {
		return errors.New("no bucket where one belongs")
	}
	name := string(e.key)
	v.names = append(v.names, name)
	each := func(e entry) error {
		if e.bucket {
			return errors.New("a bucket where none belongs")
		}
		v.visit(name, string(e.key), e.value)
		return nil
	}
	if root := binary.LittleEndian.Uint64(e.value); root != 0 {
		return v.tree(root, 0, nil, nil, each)
	}
	if len(e.value) < 16+pageHeader {
		return errors.New("a bucket cut short")
	}
	p := parsePage(e.value[16:])
	if p.flags != flagLeaf {
		return errors.New("a bucket that is no leaf")
	}
	entries, err := p.entries()
	for i, e := range entries {
		if i > 0 && bytes.Compare(e.key, entries[i-1].key) <= 0 {
			return errors.New("the keys of a small bucket are out of order")
		}
		if err := each(e); err != nil {
			return err
		}
	}
	return err
}

// freelist marks the free pages.
func (v *verifier) freelist(id uint64) error {
	p, err := v.load(id)
	if err != nil {
		return err
	}
	if p.flags != flagFreelist {
		return fmt.Errorf("page %d is not the list of free pages", id)
	}
	ids, count := p.data[pageHeader:], uint64(p.count)
	if count == 0xFFFF { // then the first of them is the count
		count = binary.LittleEndian.Uint64(ids)
		ids = ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return fmt.Errorf("page %d: a list of %d free pages does not fit", id, count)
	}
	for i := range count {
		if err := v.mark(binary.LittleEndian.Uint64(ids[8*i:])); err != nil {
			return err
		}
	}
	return nil
}
