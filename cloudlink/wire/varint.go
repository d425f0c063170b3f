package wire

import (
	"errors"
	"io"
	"math/bits"
)

// maxVarint is the largest value of a QUIC variable-length integer.
const maxVarint = 1<<62 - 1

var errVarint = errors.New("varint out of range")

// appendVarint appends v as a variable-length integer (RFC 9000 section 16):
// the two top bits of the first byte give the length, the rest is big-endian.
func appendVarint(dst []byte, v uint64) ([]byte, error) {
	switch {
	case v > maxVarint:
		return dst, errVarint
	case v < 1<<6:
		return append(dst, byte(v)), nil
	case v < 1<<14:
		return append(dst, 1<<6|byte(v>>8), byte(v)), nil
	case v < 1<<30:
		return append(dst, 2<<6|byte(v>>24), byte(v>>16), byte(v>>8), byte(v)), nil
	}
	return append(dst, 3<<6|byte(v>>56), byte(v>>48), byte(v>>40), byte(v>>32),
		byte(v>>24), byte(v>>16), byte(v>>8), byte(v)), nil
}

// readVarint reads one variable-length integer. A longer form than needed is
// accepted, as RFC 9000 section 16 asks.
func readVarint(r io.ByteReader) (uint64, error) {
	first, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	v := uint64(first & 0x3f)
	for range 1<<(first>>6) - 1 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, noEOF(err)
		}
		v = v<<8 | uint64(b)
	}
	return v, nil
}

// mulSize multiplies sizes, reporting overflow of an int.
func mulSize(a, b uint64) (uint64, bool) {
	hi, lo := bits.Mul64(a, b)
	return lo, hi == 0 && lo <= maxVarint
}
