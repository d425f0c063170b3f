package wire

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestStatusEncoding(t *testing.T) {
	for _, m := range samples() {
		s, ok := m.(*Status)
		if !ok {
			continue
		}
		b, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeStatus(b)
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("%+v became %+v, %v", s, got, err)
		}
	}
}

// TestStatusBound: a status over 1 KiB is neither sent nor taken.
func TestStatusBound(t *testing.T) {
	long := &Status{Health: strings.Repeat("x", MaxStatus)}
	if _, err := long.Encode(); err == nil {
		t.Error("a status over its bound was encoded")
	}
	if _, err := Append(nil, long); err == nil {
		t.Error("a status over its bound was framed")
	}
	header, err := encMode.Marshal(long)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeStatus(header); !errors.Is(err, ErrFrame) {
		t.Errorf("decoded: %v", err)
	}
	if _, err := NewReader(bytes.NewReader(frame(TypeStatus, header, nil)), 0).Next(); !errors.Is(err, ErrFrame) {
		t.Errorf("read: %v", err)
	}
	many := &Status{Tokens: map[string]uint64{}}
	for i := range maxSources + 1 {
		many.Tokens[string(rune('A'+i))] = 1
	}
	if _, err := many.Encode(); err == nil {
		t.Error("a status with too many sources was encoded")
	}
	if _, err := DecodeStatus(nil); !errors.Is(err, ErrFrame) {
		t.Errorf("empty: %v", err)
	}
}

func FuzzStatus(f *testing.F) {
	for _, m := range samples() {
		if s, ok := m.(*Status); ok {
			b, err := s.Encode()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeStatus(b)
		if err != nil {
			if !errors.Is(err, ErrFrame) {
				t.Fatal(err)
			}
			return
		}
		if once, err := s.Encode(); err == nil {
			if _, err := DecodeStatus(once); err != nil {
				t.Fatalf("%x became %x: %v", b, once, err)
			}
		}
	})
}
