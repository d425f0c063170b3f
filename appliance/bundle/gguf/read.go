package gguf

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
)

// Read reads the header of a GGUF file of size bytes; name is for messages.
// r must stay usable for as long as tensors are read.
func Read(r io.ReaderAt, size int64, name string) (*File, error) {
	f := &File{Name: name, Size: size, r: r, byKey: map[string]int{}, byName: map[string]int{}}
	c := newCursor(r, size)
	if err := f.parse(c); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

func (f *File) parse(c *cursor) error {
	tensors, kvs, err := f.parseCounts(c)
	if err != nil {
		return err
	}
	for i := range kvs {
		if err := f.parseKV(c, i); err != nil {
			return err
		}
	}
	if err := f.parseAlignment(); err != nil {
		return err
	}
	offsets := make([]uint64, 0, min(tensors, 4096))
	for i := range tensors {
		offset, err := f.parseTensor(c, i)
		if err != nil {
			return err
		}
		offsets = append(offsets, offset)
	}
	return f.place(c.off, offsets)
}

func (f *File) parseCounts(c *cursor) (tensors, kvs int, err error) {
	if c.left() < uint64(len(magic)) {
		return 0, 0, tooFew(false, "it does not begin with GGUF: give a model in GGUF format")
	}
	head, err := c.take(4)
	if err != nil || string(head) != magic {
		return 0, 0, bad("it does not begin with GGUF: give a model in GGUF format")
	}
	if f.Version, err = c.uint32(); err != nil {
		return 0, 0, err
	}
	if f.Version != version2 && f.Version != version3 {
		return 0, 0, bad("GGUF version %d cannot be read, only 2 and 3, little-endian: convert the model anew", f.Version)
	}
	if tensors, err = c.count("tensors", 32); err != nil {
		return 0, 0, err
	}
	kvs, err = c.count("metadata entries", 13)
	return tensors, kvs, err
}

func (f *File) parseKV(c *cursor, i int) error {
	key, err := c.string(maxKey)
	if err != nil {
		return fmt.Errorf("key of metadata entry %d: %w", i, err)
	}
	if err := f.newName(f.byKey, key, "metadata key"); err != nil {
		return err
	}
	kv, err := c.value(key)
	if err != nil {
		return fmt.Errorf("metadata %s: %w", key, err)
	}
	f.byKey[key] = len(f.KVs)
	f.KVs = append(f.KVs, kv)
	return nil
}

// newName refuses what llama.cpp, which handles names as C strings, could take
// for another name.
func (f *File) newName(seen map[string]int, name, what string) error {
	if name == "" || !plain(name) {
		return bad("%s %q is empty or not printable", what, Short(name))
	}
	if _, twice := seen[name]; twice {
		return bad("%s %s occurs twice", what, name)
	}
	return nil
}

func (f *File) parseAlignment() error {
	f.Alignment = defaultAlignment
	kv, ok := f.KV(alignmentKey)
	if !ok {
		return nil
	}
	a, ok := kv.Uint32()
	if !ok || a == 0 || a&(a-1) != 0 || a > maxAlignment {
		return bad("%s must be a uint32, a power of two and at most %d", alignmentKey, maxAlignment)
	}
	f.Alignment = int64(a)
	return nil
}

// parseTensor returns the tensor's offset as stored: from where the data begin.
func (f *File) parseTensor(c *cursor, i int) (uint64, error) {
	name, err := c.string(maxName)
	if err != nil {
		return 0, fmt.Errorf("name of tensor %d: %w", i, err)
	}
	if err := f.newName(f.byName, name, "tensor"); err != nil {
		return 0, err
	}
	t := Tensor{Name: name}
	n, err := c.uint32()
	if err != nil {
		return 0, err
	}
	if n < 1 || n > maxDims {
		return 0, bad("tensor %s has %d dimensions, 1 to %d are possible", name, n, maxDims)
	}
	for range n {
		d, err := c.uint64()
		if err != nil {
			return 0, err
		}
		if d > math.MaxInt64 {
			return 0, bad("tensor %s has a dimension of %d", name, d)
		}
		t.Dims = append(t.Dims, int64(d))
	}
	code, err := c.uint32()
	if err != nil {
		return 0, err
	}
	t.Type = Type(code)
	if t.Size, err = t.Type.Size(t.Dims); err != nil {
		return 0, bad("tensor %s %v", name, err)
	}
	f.byName[name] = len(f.Tensors)
	f.Tensors = append(f.Tensors, t)
	return c.uint64()
}

// place turns stored offsets into places in the file. Like llama.cpp it wants
// the tensors one after the other, padded to the alignment.
func (f *File) place(header int64, offsets []uint64) error {
	f.DataOffset = pad(header, f.Alignment)
	next := f.DataOffset
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if stored := offsets[i]; stored != uint64(next-f.DataOffset) {
			return bad("tensor %s begins at byte %d of the data, expected %d: tensors overlap or leave a gap", t.Name, stored, next-f.DataOffset)
		}
		if t.Size > f.Size-next {
			return bad("tensor %s needs %d bytes at %d, beyond the file's %d: the file is truncated, download it again", t.Name, t.Size, next, f.Size)
		}
		t.Offset = next
		next = pad(next+t.Size, f.Alignment)
	}
	return nil
}

func pad(n, alignment int64) int64 { return (n + alignment - 1) &^ (alignment - 1) }

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

func plain(s string) bool {
	return bytes.IndexFunc([]byte(s), func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) < 0
}

// Short is a text of a file, or of a user, as a message shows it: one line, and not long.
func Short(s string) string {
	if len(s) > 40 {
		s = s[:40] + "..."
	}
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\n", " "), "?")
}
