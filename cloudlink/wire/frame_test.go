package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

var update = flag.Bool("update", false, "write testdata/golden.txt anew: only with a new protocol version")

func encode(t testing.TB, m Message) []byte {
	t.Helper()
	b, err := Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGolden fails when the bytes of a message change: boards in the field
// speak them.
func TestGolden(t *testing.T) {
	var got strings.Builder
	for _, m := range samples() {
		fmt.Fprintf(&got, "%T %s\n", m, hex.EncodeToString(encode(t, m)))
	}
	const file = "testdata/golden.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Fatalf("messages are encoded as\n%swant\n%s", got.String(), want)
	}
}

func TestRoundTrip(t *testing.T) {
	var stream []byte
	for _, m := range samples() {
		stream = append(stream, encode(t, m)...)
	}
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(stream), "bytewise": iotest.OneByteReader(bytes.NewReader(stream)),
	} {
		fr := NewReader(r, 0)
		for _, want := range samples() {
			got, err := fr.Next()
			if err != nil {
				t.Fatalf("%s: %T: %v", name, want, err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, want %+v", name, got, want)
			}
		}
		if _, err := fr.Next(); err != io.EOF {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
}

func TestTruncatedFrame(t *testing.T) {
	for _, m := range samples() {
		b := encode(t, m)
		for n := 1; n < len(b); n++ {
			if _, err := NewReader(bytes.NewReader(b[:n]), 0).Next(); err != io.ErrUnexpectedEOF {
				t.Fatalf("%T cut to %d of %d bytes: %v", m, n, len(b), err)
			}
		}
	}
}

// frame makes a frame of any header and body, as a hostile peer would.
func frame(t Type, header, body []byte) []byte {
	b := []byte{byte(t)}
	b, _ = appendVarint(b, uint64(len(header)))
	b, _ = appendVarint(b, uint64(len(body)))
	return append(append(b, header...), body...)
}

func TestHostileFrames(t *testing.T) {
	cborOf := func(v any) []byte {
		b, err := encMode.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	claim := func(typ Type, header, body uint64) []byte {
		b, _ := appendVarint([]byte{byte(typ)}, header)
		b, _ = appendVarint(b, body)
		return b
	}
	tensor := func(d DType, dims ...uint64) map[int]any {
		return map[int]any{1: d, 2: dims}
	}
	for name, b := range map[string][]byte{
		"unknown type":              frame(0x7f, nil, nil),
		"header over its limit":     claim(TypeHello, MaxHeader, 0),
		"body where none goes":      claim(TypeHello, 1, 1),
		"body over every limit":     claim(TypeHidden, 1, 1<<40),
		"skippable over limits":     claim(0x90, 1, 1<<40),
		"not cbor":                  frame(TypeHello, []byte{0xff, 0x00}, nil),
		"empty header":              frame(TypeHello, nil, nil),
		"key given twice":           frame(TypeDrain, []byte{0xa2, 1, 5, 1, 6}, nil),
		"indefinite length":         frame(TypeDrain, []byte{0xbf, 1, 5, 0xff}, nil),
		"bytes after the map":       frame(TypeDrain, []byte{0xa1, 1, 5, 0}, nil),
		"short session id":          frame(TypeClose, cborOf(map[int]any{1: []byte{1}}), nil),
		"position too large":        frame(TypeClose, cborOf(map[int]any{4: uint64(1) << 40}), nil),
		"rows above keep":           frame(TypeUplink, cborOf(map[int]any{4: 10, 5: 9}), nil),
		"product overflows":         frame(TypeHidden, cborOf(map[int]any{2: tensor(F32, 1<<32, 1<<32)}), make([]byte, 8)),
		"dimension of zero":         frame(TypeHidden, cborOf(map[int]any{2: tensor(F32, 0, 1<<60)}), nil),
		"too many dimensions":       frame(TypeHidden, cborOf(map[int]any{2: tensor(F32, 1, 1, 1, 1, 1)}), make([]byte, 4)),
		"not a matrix":              frame(TypeHidden, cborOf(map[int]any{2: tensor(F32, 2)}), make([]byte, 8)),
		"unknown element type":      frame(TypeHidden, cborOf(map[int]any{2: tensor(2, 1, 1)}), make([]byte, 4)),
		"partial block":             frame(TypeHidden, cborOf(map[int]any{2: tensor(Q8_0, 1, 31)}), make([]byte, 34)),
		"too little data":           frame(TypeHidden, cborOf(map[int]any{2: tensor(F32, 1, 2)}), make([]byte, 7)),
		"too much data":             frame(TypeHidden, cborOf(map[int]any{2: tensor(F32, 1, 2)}), make([]byte, 9)),
		"mask without header":       frame(TypeAsk, cborOf(map[int]any{}), make([]byte, 4)),
		"mask of floats":            frame(TypeAsk, cborOf(map[int]any{8: tensor(F32, 1)}), make([]byte, 4)),
		"ids without logits":        frame(TypeAnswer, cborOf(map[int]any{6: tensor(I32, 1)}), make([]byte, 4)),
		"more rows than an ask may": frame(TypeAsk, cborOf(map[int]any{4: 99, 9: MaxAskRows + 1}), nil),
		"rows before position 0":    frame(TypeAsk, cborOf(map[int]any{4: 2, 9: 4}), nil),
		"a mask for several rows":   frame(TypeAsk, cborOf(map[int]any{4: 9, 8: tensor(I32, 1), 9: 2}), make([]byte, 4)),
		"more sums than rows":       frame(TypeAnswer, cborOf(map[int]any{7: tensor(F32, 2, 1), 12: []float64{1, 1}}), make([]byte, 8)),
		"rows of a single vector":   frame(TypeAnswer, cborOf(map[int]any{7: tensor(F32, 2), 12: []float64{1}}), make([]byte, 8)),
		"a row too many":            frame(TypeAnswer, cborOf(map[int]any{7: tensor(F32, 3, 1), 12: []float64{1}}), make([]byte, 12)),
		"one row as a matrix":       frame(TypeAnswer, cborOf(map[int]any{7: tensor(F32, 1, 2)}), make([]byte, 8)),
		"more rows than any ask's":  frame(TypeAnswer, cborOf(map[int]any{12: make([]float64, MaxAskRows)}), nil),
		"a sum that is none":        frame(TypeAnswer, cborOf(map[int]any{12: []float64{math.NaN()}}), nil),
		"a row by rising logit": frame(TypeAnswer, cborOf(map[int]any{6: tensor(I32, 2, 2), 7: tensor(F32, 2, 2), 12: []float64{1}}),
			appendFloats(appendInts(nil, []int32{1, 2, 3, 4}), []float32{2, 1, 1, 2})),
		"a token twice in the second row": frame(TypeAnswer, cborOf(map[int]any{6: tensor(I32, 2, 2), 7: tensor(F32, 2, 2), 12: []float64{1}}),
			appendFloats(appendInts(nil, []int32{1, 2, 3, 3}), []float32{2, 1, 2, 1})),
		"nested too deeply": frame(TypeDrain, append(bytes.Repeat([]byte{0x81}, 20), 0), nil),
	} {
		m, err := NewReader(bytes.NewReader(b), 0).Next()
		if !errors.Is(err, ErrFrame) {
			t.Errorf("%s: got %+v, %v", name, m, err)
		}
	}
}

func TestLimitOfReader(t *testing.T) {
	b := encode(t, EncodeHidden(0, 64, make([]float32, 64*64), F32))
	if _, err := NewReader(bytes.NewReader(b), 1<<10).Next(); !errors.Is(err, ErrFrame) {
		t.Fatalf("got %v", err)
	}
}

// TestLaterVersion reads what a later protocol version may add.
func TestLaterVersion(t *testing.T) {
	header, _ := encMode.Marshal(map[int]any{1: 5, 99: map[string]any{"new": true}})
	b := frame(0x80, []byte{1, 2, 3}, make([]byte, 9999))
	b = append(b, frame(TypeDrain, header, nil)...)
	m, err := NewReader(bytes.NewReader(b), 0).Next()
	if d, ok := m.(*Drain); err != nil || !ok || d.Grace != 5 {
		t.Fatalf("got %+v, %v", m, err)
	}
}

// TestClaimAllocatesLittle: sixteen megabytes claimed and not sent may not
// cost sixteen megabytes.
func TestClaimAllocatesLittle(t *testing.T) {
	b, _ := appendVarint([]byte{byte(TypeHidden)}, 1<<10)
	b, _ = appendVarint(b, MaxBody)
	r := NewReader(bytes.NewReader(append(b, make([]byte, 100)...)), 0)
	if _, err := r.Next(); err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	if cap(r.buf) > 2*growBy {
		t.Fatalf("%d bytes allocated for a claim", cap(r.buf))
	}
}

func TestAppendRefusesContradictions(t *testing.T) {
	bad := EncodeHidden(0, 2, []float32{1, 2}, F32)
	bad.Data = bad.Data[:7]
	for _, m := range []Message{
		bad,
		&Answer{IDs: []int32{1, 2}, Logits: []float32{1}},
		&Answer{Logits: []float32{1, 2, 3}, Before: []float64{1}},
		&Hello{Device: strings.Repeat("x", 5<<10)},
	} {
		if _, err := Append(nil, m); err == nil {
			t.Errorf("%T was encoded", m)
		}
	}
}

// The rows of an answer come apart as they were put together.
func TestRowsOfAnAnswer(t *testing.T) {
	ask := NewAsk(Ref{Position: 9}, 1, 2, nil)
	if ask.Wanted() != 1 || ask.First() != 9 {
		t.Errorf("%d rows from %d", ask.Wanted(), ask.First())
	}
	if ask.Rows = 2; ask.Wanted() != 2 || ask.First() != 8 {
		t.Errorf("%d rows from %d", ask.Wanted(), ask.First())
	}
	sent := NewAnswer(ask, []int32{8, 2, 1, 5}, []float32{2, 1.5, 0.5, 0.25}, 2.5)
	sent.LogSumExp = 3.5
	m, err := NewReader(bytes.NewReader(encode(t, sent)), 0).Next()
	if err != nil {
		t.Fatal(err)
	}
	got := m.(*Answer)
	for i, want := range []struct {
		ids    []int32
		logits []float32
		sum    float64
	}{{[]int32{8, 2}, []float32{2, 1.5}, 2.5}, {[]int32{1, 5}, []float32{0.5, 0.25}, 3.5}} {
		ids, logits, sum := got.Row(i)
		if got.Len() != 2 || !slices.Equal(ids, want.ids) || !slices.Equal(logits, want.logits) || sum != want.sum {
			t.Errorf("row %d of %d: %v %v %v", i, got.Len(), ids, logits, sum)
		}
	}
}
