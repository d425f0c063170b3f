package trust

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sampleCode() Code {
	return Code{
		Authority: [fingerprintLen]byte{1, 2, 3}, Secret: [secretLen]byte{9, 8, 7}, Disclosure: Hidden,
		Expires: time.Unix(29_000_000*60, 0), Addrs: []string{"192.0.2.7:7537", "cloud.example.org:7537"},
	}
}

func TestCodeRoundTrip(t *testing.T) {
	for _, addrs := range [][]string{nil, {"192.0.2.7:7537"}, {"[2001:db8::1]:1", "a:65535", "10.0.0.1:443", "x.example:2"}} {
		for _, may := range disclosures {
			c := sampleCode()
			c.Addrs, c.Disclosure = addrs, may
			got, err := ParseCode(c.String())
			if err != nil || !reflect.DeepEqual(got, c) {
				t.Errorf("%v %q: got %+v, %v", addrs, may, got, err)
			}
		}
	}
}

// A code with one IPv4 address can be typed: 15 groups of five.
func TestCodeIsShort(t *testing.T) {
	c := sampleCode()
	c.Addrs = c.Addrs[:1]
	if groups := strings.Split(c.String(), "-"); len(groups) != 15 {
		t.Errorf("%d groups: %s", len(groups), c)
	}
}

// What typing and pasting do to a code does not matter.
func TestCodeAsTyped(t *testing.T) {
	c := sampleCode()
	s := c.String()
	for _, typed := range []string{
		strings.ToLower(s), strings.ReplaceAll(s, "-", ""), strings.ReplaceAll(s, "-", " "), " " + s + "\r\n",
		strings.ReplaceAll(s, "0", "O"), strings.ReplaceAll(s, "1", "l"), strings.ReplaceAll(s, "1", "I"),
		s[:40] + "\n" + s[40:],
	} {
		if got, err := ParseCode(typed); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%q: %+v, %v", typed, got, err)
		}
	}
}

// Every single wrong character and every swap of two neighbours is noticed.
func TestCodeMistyped(t *testing.T) {
	s := strings.ReplaceAll(sampleCode().String(), "-", "")
	for i := range s {
		for _, r := range "0123456789ABCDEFGHJKMNPQRSTVWXYZU" {
			if typed := s[:i] + string(r) + s[i+1:]; typed != s {
				if _, err := ParseCode(typed); !errors.Is(err, ErrMistyped) {
					t.Fatalf("character %d as %q: %v", i, r, err)
				}
			}
		}
		if i > 0 && s[i] != s[i-1] {
			if _, err := ParseCode(s[:i-1] + s[i:i+1] + s[i-1:i] + s[i+1:]); !errors.Is(err, ErrMistyped) {
				t.Fatalf("characters %d and %d swapped: %v", i-1, i, err)
			}
		}
	}
	for _, typed := range []string{s[:len(s)-1], s[1:], s + "0", s[:50]} {
		if _, err := ParseCode(typed); !errors.Is(err, ErrMistyped) {
			t.Errorf("%q: %v", typed, err)
		}
	}
	for _, typed := range []string{"", "hello", "-", "12345-67890"} {
		if _, err := ParseCode(typed); !errors.Is(err, ErrCode) || !strings.Contains(err.Error(), "skerry cloud invite") {
			t.Errorf("%q: %v", typed, err)
		}
	}
}

// sealed is a code of body, however wrong, with a check that matches.
func sealed(body []byte) string {
	return codeText.EncodeToString(binary.BigEndian.AppendUint32(body, crc32.ChecksumIEEE(body)))
}

func TestCodeOfAnotherKind(t *testing.T) {
	body := make([]byte, 1+fingerprintLen+secretLen+5)
	for _, first := range []byte{0, 2 << 4, codeVersion<<4 | 9} {
		body[0] = first
		if _, err := ParseCode(sealed(body)); !errors.Is(err, ErrCode) || !strings.Contains(err.Error(), "update skerry") {
			t.Errorf("first byte %#x: %v", first, err)
		}
	}
	for _, tail := range [][]byte{{1}, {1, 5, 'a'}, {1, 0, 1, 2, 3}, {1, 3, 'a', ':', 'b'}, {0, 1}, {5, 3, 'a', ':', '1', 3, 'a', ':', '1', 3, 'a', ':', '1', 3, 'a', ':', '1', 3, 'a', ':', '1'}} {
		b := append(append([]byte{codeVersion << 4}, body[1:len(body)-1]...), tail...)
		if _, err := ParseCode(sealed(b)); !errors.Is(err, ErrCode) {
			t.Errorf("addresses %v: %v", tail, err)
		}
	}
}

func FuzzCode(f *testing.F) {
	f.Add(sampleCode().String(), []byte{})
	f.Add("", append([]byte{codeVersion << 4}, make([]byte, 40)...))
	rng := rand.New(rand.NewPCG(1, 1))
	b := make([]byte, 60)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	f.Add("x", b)
	f.Fuzz(func(t *testing.T, typed string, body []byte) {
		for _, s := range []string{typed, sealed(body)} {
			c, err := ParseCode(s)
			if err != nil {
				if !errors.Is(err, ErrCode) && !errors.Is(err, ErrMistyped) {
					t.Fatalf("%q: %v", s, err)
				}
				continue
			}
			if again, err := ParseCode(c.String()); err != nil || !reflect.DeepEqual(again, c) {
				t.Fatalf("%q: %+v, then %+v, %v", s, c, again, err)
			}
		}
	})
}
