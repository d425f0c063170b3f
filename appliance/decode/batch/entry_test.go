package batch

import (
	"bytes"
	"reflect"
	"testing"

	"skerry/appliance/decode"
)

func entryOf(t testing.TB, st decode.State, sessions ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := writeEntry(&b, "bundle", sessions, st); err != nil {
		t.Fatal(err)
	}
	if h := headOf("bundle", sessions, st); b.Len() != len(h.encode())+int(h.body()) {
		t.Fatalf("%d bytes, said to be %d", b.Len(), len(h.encode())+int(h.body()))
	}
	return b.Bytes()
}

var states = map[string]decode.State{
	"split": {Tokens: []int32{1, 2, 3}, Hidden: []float32{1, 2, 3, 4, 5, 6}, KV: [][]byte{[]byte("one"), []byte("two!")}},
	"whole": {Whole: true, Tokens: []int32{7}, KV: [][]byte{make([]byte, 100000)}},
	"none":  {Tokens: []int32{}, KV: nil},
}

func TestEntry(t *testing.T) {
	for name, want := range states {
		b := entryOf(t, want, "one", "two")
		h, got, err := readEntry(bytes.NewReader(b), int64(len(b)))
		if err != nil || h.bundle != "bundle" || !reflect.DeepEqual(h.sessions, []string{"one", "two"}) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
		for i := range min(len(b), 300) {
			bad := bytes.Clone(b)
			bad[len(b)-1-i] ^= 0x10
			if _, _, err := readEntry(bytes.NewReader(bad), int64(len(bad))); err == nil {
				t.Errorf("%s: damaged %d bytes before its end, and read", name, i)
			}
			if _, _, err := readEntry(bytes.NewReader(b[:len(b)-1-i]), int64(len(b)-1-i)); err == nil {
				t.Errorf("%s: cut %d bytes before its end, and read", name, i)
			}
		}
	}
}

// FuzzReadEntry reads damaged files: never a panic, and what is read is what would
// be written.
func FuzzReadEntry(f *testing.F) {
	for _, st := range states {
		f.Add(entryOf(f, st))
		f.Add(entryOf(f, st, "one", "", "two"))
	}
	f.Add(headOf("b", nil, decode.State{KV: [][]byte{nil}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, st, err := readEntry(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := writeEntry(&again, h.bundle, h.sessions, st); err != nil {
			t.Fatal(err)
		}
		if h.flags == headOf("", nil, st).flags && !bytes.Equal(again.Bytes(), b) {
			t.Errorf("%x was read and is written as %x", b, again.Bytes())
		}
	})
}
