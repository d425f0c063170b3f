package gguf

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
)

// Kind is the type of a metadata value by its code in the file.
type Kind uint32

// The metadata value types of the specification.
const (
	Uint8 Kind = iota
	Int8
	Uint16
	Int16
	Uint32
	Int32
	Float32
	Bool
	String
	Array
	Uint64
	Int64
	Float64
)

var kinds = [...]struct {
	name string
	size int // bytes, 0 where it varies
}{
	{"uint8", 1}, {"int8", 1}, {"uint16", 2}, {"int16", 2}, {"uint32", 4},
	{"int32", 4}, {"float32", 4}, {"bool", 1}, {"string", 0}, {"array", 0},
	{"uint64", 8}, {"int64", 8}, {"float64", 8},
}

func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k].name
	}
	return fmt.Sprintf("kind %d", uint32(k))
}

func (k Kind) size() int { return kinds[k].size }

// KV is one metadata entry. The value stays as the bytes of the file and is
// decoded on demand: an array of 256k strings costs its bytes and no more.
type KV struct {
	Key  string
	Kind Kind
	Elem Kind // of an Array
	Len  int  // elements of an Array

	raw []byte // the value; of an array, its elements
}

// Text decodes a string value.
func (kv KV) Text() (string, bool) {
	if kv.Kind != String {
		return "", false
	}
	return string(kv.raw[8:]), true
}

// Uint decodes an unsigned integer of any width.
func (kv KV) Uint() (uint64, bool) {
	le := binary.LittleEndian
	switch kv.Kind {
	case Uint8:
		return uint64(kv.raw[0]), true
	case Uint16:
		return uint64(le.Uint16(kv.raw)), true
	case Uint32:
		return uint64(le.Uint32(kv.raw)), true
	case Uint64:
		return le.Uint64(kv.raw), true
	}
	return 0, false
}

// Uint32 decodes a value of kind uint32 and no other.
func (kv KV) Uint32() (uint32, bool) {
	if kv.Kind != Uint32 {
		return 0, false
	}
	return binary.LittleEndian.Uint32(kv.raw), true
}

// Float32 decodes a value of kind float32.
func (kv KV) Float32() (float32, bool) {
	if kv.Kind != Float32 {
		return 0, false
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(kv.raw)), true
}

// Bool decodes a boolean.
func (kv KV) Bool() (value, ok bool) {
	if kv.Kind != Bool {
		return false, false
	}
	return kv.raw[0] != 0, true
}

// Strings yields the elements of an array of strings, as parts of the stored
// bytes: copy what is to be kept. It yields nothing for other values.
func (kv KV) Strings() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		if kv.Kind != Array || kv.Elem != String {
			return
		}
		rest := kv.raw
		for i := range kv.Len {
			n := binary.LittleEndian.Uint64(rest)
			if !yield(i, rest[8:8+n]) {
				return
			}
			rest = rest[8+n:]
		}
	}
}

// Float32s yields the elements of an array of float32, nothing for others.
func (kv KV) Float32s() iter.Seq2[int, float32] {
	return func(yield func(int, float32) bool) {
		if kv.Kind != Array || kv.Elem != Float32 {
			return
		}
		for i := range kv.Len {
			if !yield(i, math.Float32frombits(binary.LittleEndian.Uint32(kv.raw[4*i:]))) {
				return
			}
		}
	}
}

// Int32s yields the elements of an array of int32, nothing for others.
func (kv KV) Int32s() iter.Seq2[int, int32] {
	return func(yield func(int, int32) bool) {
		if kv.Kind != Array || kv.Elem != Int32 {
			return
		}
		for i := range kv.Len {
			if !yield(i, int32(binary.LittleEndian.Uint32(kv.raw[4*i:]))) {
				return
			}
		}
	}
}

// KV finds a metadata entry by key.
func (f *File) KV(key string) (KV, bool) {
	i, ok := f.byKey[key]
	if !ok {
		return KV{}, false
	}
	return f.KVs[i], true
}
