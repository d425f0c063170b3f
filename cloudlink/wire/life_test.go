package wire

import (
	"bytes"
	"errors"
	"fmt"
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

// TestStatusFits: whatever a status says, it can be encoded once it was cut, and
// the sources that said most stay.
func TestStatusFits(t *testing.T) {
	long := strings.Repeat("größer\xff", 500)
	s := Status{Version: long, Mode: long, Health: long, Transport: long, Bundle: Hash{1}, Uptime: 1 << 60,
		BytesUp: 1 << 60, BytesDown: 1 << 60, Tokens: map[string]uint64{long: 1 << 61, "cloud": 1 << 60}}
	for i := range 200 {
		s.Tokens[fmt.Sprintf("a source of a long name, %d", i)] = uint64(i)
	}
	s.Fit()
	b, err := s.Encode()
	if err != nil || len(b) > MaxStatus {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	back, err := DecodeStatus(b)
	if err != nil || back.Tokens["cloud"] != 1<<60 || len(back.Tokens) < 2 || !strings.HasPrefix(back.Health, "größer?") {
		t.Errorf("%+v, %v", back, err)
	}
	small := Status{Version: "1", Health: "ok", Tokens: map[string]uint64{"exit1": 3}}
	before := small
	small.Fit()
	if !reflect.DeepEqual(small, before) {
		t.Errorf("%+v became %+v", before, small)
	}
}
