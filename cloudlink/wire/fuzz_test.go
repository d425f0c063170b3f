package wire

import (
	"bytes"
	"testing"
)

// FuzzReader feeds a stream of frames. What is read without error is encoded
// again and must then be stable.
func FuzzReader(f *testing.F) {
	var all []byte
	for _, m := range samples() {
		b := encode(f, m)
		all = append(all, b...)
		f.Add(b)
	}
	f.Add(all)
	f.Add(frame(0x80, []byte{1}, []byte{2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b), 1<<16)
		for {
			m, err := r.Next()
			if err != nil {
				return
			}
			stable(t, m)
		}
	})
}

func stable(t *testing.T, m Message) {
	once, err := Append(nil, m)
	if err != nil {
		t.Fatalf("%T %+v was read but not encoded: %v", m, m, err)
	}
	back, err := NewReader(bytes.NewReader(once), 0).Next()
	if err != nil {
		t.Fatalf("%T %+v: %v", m, m, err)
	}
	twice, err := Append(nil, back)
	if err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("%T changed: %x, then %x, %v", m, once, twice, err)
	}
}

// fuzzMessage fuzzes header and body of one type past the framing.
func fuzzMessage(f *testing.F, types ...Type) {
	for _, m := range samples() {
		header, err := encMode.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		body, err := m.body()
		if err != nil {
			f.Fatal(err)
		}
		for i, t := range types {
			if m.Type() == t {
				f.Add(uint8(i), header, body)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, header, body []byte) {
		b := frame(types[int(which)%len(types)], header, body)
		if m, err := NewReader(bytes.NewReader(b), 0).Next(); err == nil {
			stable(t, m)
		}
	})
}

func FuzzControl(f *testing.F) { fuzzMessage(f, TypeHello, TypeWelcome, TypeReceipt, TypeDrain) }
func FuzzLife(f *testing.F)    { fuzzMessage(f, TypeStatus, TypePing, TypePong, TypeOffer) }
func FuzzError(f *testing.F)   { fuzzMessage(f, TypeError) }
func FuzzSession(f *testing.F) { fuzzMessage(f, TypeOpen, TypeOpened, TypeClose) }
func FuzzAsk(f *testing.F)     { fuzzMessage(f, TypeAsk) }
func FuzzAnswer(f *testing.F)  { fuzzMessage(f, TypeAnswer) }
func FuzzUplink(f *testing.F)  { fuzzMessage(f, TypeUplink, TypeHidden, TypeTokens) }
func FuzzFiles(f *testing.F)   { fuzzMessage(f, TypeFetch, TypePiece) }
func FuzzGenerate(f *testing.F) {
	fuzzMessage(f, TypeGenerate, TypeToken)
}
func FuzzLead(f *testing.F) { fuzzMessage(f, TypeLead, TypeLed, TypeTaken) }

// FuzzTensorSize checks the size against arithmetic that cannot overflow.
func FuzzTensorSize(f *testing.F) {
	f.Add(uint32(0), uint64(1)<<32, uint64(1)<<32)
	f.Add(uint32(8), uint64(3), uint64(64))
	f.Fuzz(func(t *testing.T, dtype uint32, a, b uint64) {
		n, err := TensorHeader{DType: DType(dtype), Dims: []uint64{a, b}}.Size()
		if err != nil {
			return
		}
		if n <= 0 || n > MaxBody || uint64(n) < a || float64(n) < float64(a)*float64(b) {
			t.Fatalf("type %d [%d,%d]: %d bytes", dtype, a, b, n)
		}
	})
}
