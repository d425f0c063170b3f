package trust

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"testing"
)

func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func TestMessageLimits(t *testing.T) {
	var q request
	if err := readMessage(bytes.NewReader([]byte{0, 0, 0x40, 1}), &q); !errors.Is(err, ErrProtocol) {
		t.Errorf("a long message: %v", err)
	}
	if err := readMessage(bytes.NewReader([]byte{0, 0, 0, 9, 1}), &q); err != io.ErrUnexpectedEOF {
		t.Errorf("a short message: %v", err)
	}
	for name, b := range map[string][]byte{
		"a key twice": {0xa2, 1, 0x61, 'a', 1, 0x61, 'b'}, "no end": {0xbf, 0xff}, "a tag": {0xc1, 1}, "nothing": {},
	} {
		if err := readMessage(bytes.NewReader(framed(b)), &q); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := writeMessage(io.Discard, &request{CSR: make([]byte, maxMessage)}); !errors.Is(err, ErrProtocol) {
		t.Errorf("writing too much: %v", err)
	}
}

func fuzzMessage[T any](f *testing.F, samples ...T) {
	for _, s := range samples {
		var b bytes.Buffer
		if err := writeMessage(&b, s); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes()[4:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again T
		if readMessage(bytes.NewReader(framed(b)), &m) != nil {
			return
		}
		var out bytes.Buffer
		if err := writeMessage(&out, m); err != nil {
			if len(b) < maxMessage/2 {
				t.Fatalf("%+v was read but not written: %v", m, err)
			}
			return
		}
		if err := readMessage(&out, &again); err != nil || !reflect.DeepEqual(normal(m), normal(again)) {
			t.Fatalf("%+v, then %+v, %v", m, again, err)
		}
	})
}

// normal makes empty fields nil, which is how they come back.
func normal[T any](m T) T {
	v := reflect.ValueOf(&m).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Slice && f.Len() == 0 {
			f.SetZero()
		}
	}
	return m
}

func FuzzRequest(f *testing.F) {
	fuzzMessage(f, request{Op: opTime}, request{Op: opEnroll, Secret: []byte{1}, CSR: []byte{2}, Name: "pi", Disclosure: Text, Software: "v1"})
}

func FuzzReply(f *testing.F) {
	fuzzMessage(f, reply{Time: 5}, reply{Status: statusUsed, Text: "used"}, reply{Certificate: []byte{1}, Authority: []byte{2}, Name: "pi", Disclosure: Hidden, Time: -1})
}
