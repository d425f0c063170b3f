package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// cursor reads the header front to back and never believes a length that the
// rest of the file could not hold.
type cursor struct {
	r    *bufio.Reader
	off  int64
	size int64
}

func newCursor(r io.ReaderAt, size int64) *cursor {
	return &cursor{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 1<<16), size: size}
}

func (c *cursor) left() uint64 { return uint64(c.size - c.off) }

// need fails if n more bytes are not there, or are too many for a header.
func (c *cursor) need(n uint64) error {
	if n > c.left() {
		return tooFew(n > maxHeader, "the header needs %d bytes at %d, beyond the file's %d: the file is truncated or corrupt, download it again", n, c.off, c.size)
	}
	if uint64(c.off)+n > maxHeader {
		return bad("the header is larger than %d bytes: the file is corrupt", maxHeader)
	}
	return nil
}

// grow appends the next n bytes of the file to b.
func (c *cursor) grow(b []byte, n uint64) ([]byte, error) {
	if err := c.need(n); err != nil {
		return nil, err
	}
	at := len(b)
	b = append(b, make([]byte, n)...)
	if _, err := io.ReadFull(c.r, b[at:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, tooFew(false, "the file ended while its header was read: download it again")
		}
		return nil, fmt.Errorf("read at byte %d: %w", c.off, err)
	}
	c.off += int64(n)
	return b, nil
}

func (c *cursor) take(n uint64) ([]byte, error) { return c.grow(nil, n) }

func (c *cursor) uint32() (uint32, error) {
	b, err := c.take(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (c *cursor) uint64() (uint64, error) {
	b, err := c.take(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// count reads a number of things of at least least bytes each.
func (c *cursor) count(what string, least uint64) (int, error) {
	n, err := c.uint64()
	if err != nil {
		return 0, err
	}
	if n > maxEntries || n > c.left()/least {
		return 0, tooFew(n > maxEntries, "it claims %d %s, more than it can hold: the file is corrupt, download it again", n, what)
	}
	return int(n), nil
}

func (c *cursor) string(limit uint64) (string, error) {
	n, err := c.uint64()
	if err != nil {
		return "", err
	}
	if n > limit {
		return "", bad("a name of %d bytes, at most %d are possible: the file is corrupt", n, limit)
	}
	b, err := c.take(n)
	return string(b), err
}

func (c *cursor) value(key string) (KV, error) {
	kv := KV{Key: key}
	code, err := c.uint32()
	if err != nil {
		return kv, err
	}
	kv.Kind = Kind(code)
	if kv.Kind != Array {
		kv.raw, err = c.elements(kv.Kind, 1)
		return kv, err
	}
	if code, err = c.uint32(); err != nil {
		return kv, err
	}
	kv.Elem = Kind(code)
	n, err := c.uint64()
	if err != nil {
		return kv, err
	}
	// Every element takes a byte at least, so this also bounds an int.
	if err := c.need(n); err != nil {
		return kv, err
	}
	kv.Len = int(n)
	kv.raw, err = c.elements(kv.Elem, n)
	return kv, err
}

func (c *cursor) elements(k Kind, n uint64) ([]byte, error) {
	switch {
	case int(k) >= len(kinds) || k == Array:
		return nil, bad("has a value of unusable %v", k)
	case k == String:
		return c.strings(n)
	}
	raw, err := c.elementsOf(uint64(k.size()), n)
	if k == Bool {
		for _, b := range raw {
			if b > 1 {
				return nil, bad("has a boolean of value %d", b)
			}
		}
	}
	return raw, err
}

func (c *cursor) elementsOf(size, n uint64) ([]byte, error) {
	if n > maxHeader/size {
		return nil, bad("has %d elements: the file is corrupt", n)
	}
	return c.take(n * size)
}

func (c *cursor) strings(n uint64) ([]byte, error) {
	if n > c.left()/8 {
		return nil, c.need(n * 8)
	}
	var raw []byte
	for range n {
		at := len(raw)
		var err error
		if raw, err = c.grow(raw, 8); err != nil {
			return nil, err
		}
		if raw, err = c.grow(raw, binary.LittleEndian.Uint64(raw[at:])); err != nil {
			return nil, err
		}
	}
	return raw, nil
}

// tooFew is an error about bytes that are not there; never says that no more of
// them would help.
func tooFew(never bool, format string, args ...any) error {
	err := bad(format, args...)
	if never {
		return err
	}
	return &shortError{err}
}

// shortError is a format error that more bytes might mend.
type shortError struct{ error }

func (e *shortError) Unwrap() error { return e.error }

// maxFile bounds the size that a header may give its file, in bytes.
const maxFile = 1 << 44

// Extent returns how many bytes the file has whose first have bytes r holds, by
// what its header says, padding after the last tensor included. It is false as long
// as the header is not whole. The error is of a header that more bytes do not mend.
func Extent(r io.ReaderAt, have int64, name string) (bytes int64, known bool, err error) {
	f := &File{Name: name, Size: maxFile, r: r, byKey: map[string]int{}, byName: map[string]int{}}
	err = f.parse(newCursor(r, have))
	var short *shortError
	if errors.As(err, &short) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("%s: %w", name, err)
	}
	end := f.DataOffset
	for _, t := range f.Tensors {
		end = max(end, pad(t.Offset+t.Size, f.Alignment))
	}
	return end, true, nil
}
