package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// A value in the file is four bytes of checksum and CBOR (RFC 8949). The
// checksum covers the key too, so that a value found under another key's name
// is no less damaged than a changed one.
const sumBytes = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var (
	encoding = must(cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 8,
		MaxArrayElements: 1 << 16, MaxMapPairs: 64,
		UTF8: cbor.UTF8DecodeInvalid, // what a caller put in must come out
	}.DecMode())
)

func sum(key string, body []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(key), castagnoli), castagnoli, body)
}

// utc returns t as it can be written: RFC 3339 has no years beyond 9999.
func utc(t time.Time) time.Time {
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// seal encodes v for the key. It cannot fail: records are plain structs, their
// times have passed utc.
func seal(key string, v any) []byte {
	body := must(encoding.Marshal(v))
	out := make([]byte, sumBytes, sumBytes+len(body))
	binary.LittleEndian.PutUint32(out, sum(key, body))
	return append(out, body...)
}

// unsound returns an error with ErrDamaged for a value that is not as it was
// sealed for the key.
func unsound(key string, value []byte) error {
	if len(value) <= sumBytes || binary.LittleEndian.Uint32(value) != sum(key, value[sumBytes:]) {
		return fmt.Errorf("record %q: %w: bad checksum", key, ErrDamaged)
	}
	return nil
}

// unseal decodes value into v. Its error wraps ErrDamaged.
func unseal(key string, value []byte, v any) error {
	if err := unsound(key, value); err != nil {
		return err
	}
	return decode(key, value[sumBytes:], v)
}

// decode refuses what seal could not write again, as times beyond year 9999.
func decode(key string, body []byte, v any) error {
	err := decoding.Unmarshal(body, v)
	if err == nil {
		_, err = encoding.Marshal(v)
	}
	if err != nil {
		return fmt.Errorf("record %q: %w: %v", key, ErrDamaged, err)
	}
	return nil
}
