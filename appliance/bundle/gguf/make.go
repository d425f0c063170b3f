package gguf

import (
	"encoding/binary"
	"math"
)

// StringKV makes a string entry.
func StringKV(key, v string) KV {
	return KV{Key: key, Kind: String, raw: appendString(nil, v)}
}

// Uint32KV makes a uint32 entry.
func Uint32KV(key string, v uint32) KV {
	return KV{Key: key, Kind: Uint32, raw: binary.LittleEndian.AppendUint32(nil, v)}
}

// Uint64KV makes a uint64 entry.
func Uint64KV(key string, v uint64) KV {
	return KV{Key: key, Kind: Uint64, raw: binary.LittleEndian.AppendUint64(nil, v)}
}

// Float32KV makes a float32 entry.
func Float32KV(key string, v float32) KV {
	return KV{Key: key, Kind: Float32, raw: binary.LittleEndian.AppendUint32(nil, math.Float32bits(v))}
}

// BoolKV makes a boolean entry.
func BoolKV(key string, v bool) KV {
	raw := []byte{0}
	if v {
		raw[0] = 1
	}
	return KV{Key: key, Kind: Bool, raw: raw}
}

// StringsKV makes an entry that is an array of strings.
func StringsKV(key string, v []string) KV {
	kv := KV{Key: key, Kind: Array, Elem: String, Len: len(v)}
	for _, s := range v {
		kv.raw = appendString(kv.raw, s)
	}
	return kv
}

// Float32sKV makes an entry that is an array of float32.
func Float32sKV(key string, v []float32) KV {
	kv := KV{Key: key, Kind: Array, Elem: Float32, Len: len(v)}
	for _, x := range v {
		kv.raw = binary.LittleEndian.AppendUint32(kv.raw, math.Float32bits(x))
	}
	return kv
}

// Int32sKV makes an entry that is an array of int32.
func Int32sKV(key string, v []int32) KV {
	kv := KV{Key: key, Kind: Array, Elem: Int32, Len: len(v)}
	for _, x := range v {
		kv.raw = binary.LittleEndian.AppendUint32(kv.raw, uint32(x))
	}
	return kv
}

func appendString(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

func (kv KV) append(b []byte) []byte {
	le := binary.LittleEndian
	b = appendString(b, kv.Key)
	b = le.AppendUint32(b, uint32(kv.Kind))
	if kv.Kind == Array {
		b = le.AppendUint32(b, uint32(kv.Elem))
		b = le.AppendUint64(b, uint64(kv.Len))
	}
	return append(b, kv.raw...)
}
