package wire

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// TestVarintExamples has the examples of RFC 9000 appendix A.1.
func TestVarintExamples(t *testing.T) {
	for want, in := range map[uint64]string{
		151288809941952652: "c2197c5eff14e88c",
		494878333:          "9d7f3e7d",
		15293:              "7bbd",
		37:                 "25",
	} {
		b, _ := hex.DecodeString(in)
		if got, err := readVarint(bytes.NewReader(b)); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", in, got, err, want)
		}
		if out, err := appendVarint(nil, want); err != nil || !bytes.Equal(out, b) {
			t.Errorf("%d: got %x, %v, want %s", want, out, err, in)
		}
	}
	if got, err := readVarint(bytes.NewReader([]byte{0x40, 0x25})); err != nil || got != 37 {
		t.Errorf("37 in two bytes: got %d, %v", got, err)
	}
	if _, err := appendVarint(nil, 1<<62); err == nil {
		t.Error("2^62 was encoded")
	}
}

func FuzzVarint(f *testing.F) {
	f.Add([]byte{0x25})
	f.Add([]byte{0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := readVarint(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := appendVarint(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readVarint(bytes.NewReader(again)); err != nil || got != v {
			t.Fatalf("%d came back as %d, %v", v, got, err)
		}
	})
}
