package partition_test

import (
	"math/rand/v2"
	"testing"

	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/wire"
)

// TestHostileOfProtocol2: what version 2 added ends one session with a typed
// error where it may not come, and that only.
func TestHostileOfProtocol2(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 64, 64*1024, 64), withWhole(fakestage.New(1, vocab, 64, 64*1024, 64)))
	raw := c.dialRaw(t)
	good := raw.stream(encode(t, openMsg(0)))
	row := rows(rand.New(rand.NewPCG(13, 1)), 1)
	raw.uplink(encode(t, header(0), wire.EncodeHidden(0, width, row, wire.F32)))

	id := byte(1)
	next := func(change ...func(*wire.Open)) (wire.Ref, []byte) {
		id++
		m := openMsg(id)
		for _, f := range change {
			f(m)
		}
		return m.Ref, encode(t, m)
	}
	tokens := func(m *wire.Open) { m.Tokens = true }
	half := func(m *wire.Open) { m.Encodings = []wire.DType{wire.F16} }
	ids := func(pos uint64, ids ...int32) []byte { return encode(t, wire.NewTokens(pos, ids)) }

	t.Run("generate from hidden states", func(t *testing.T) {
		ref, open := next()
		wantRefusal(t, raw.stream(append(open, encode(t, &wire.Generate{Ref: ref, Serial: 1, Max: 5})...)), wire.CodeProtocol)
	})
	t.Run("generate nothing", func(t *testing.T) {
		_, open := next(tokens)
		wantRefusal(t, raw.stream(append(open, 0x15, 0x08, 0x00, 0xa1, 0x06, 0x00, 0, 0, 0, 0, 0)), wire.CodeProtocol)
	})
	t.Run("a token from a board", func(t *testing.T) {
		_, open := next(tokens)
		wantRefusal(t, raw.stream(append(open, encode(t, &wire.Token{})...)), wire.CodeProtocol)
	})
	for name, tc := range map[string]struct {
		change func(*wire.Open)
		b      []byte
	}{
		"ids among hidden states":      {half, ids(0, 1)},
		"hidden states among ids":      {tokens, encode(t, wire.EncodeHidden(0, 1, []float32{1}, wire.F32))},
		"an id of no vocabulary":       {tokens, ids(0, vocab)},
		"a negative id":                {tokens, ids(0, -1)},
		"8-bit where 16 was agreed":    {half, encode(t, wire.EncodeHidden(0, 32, make([]float32, 32), wire.Q8_0))},
		"half a block":                 {half, []byte{0x21, 0x0b, 0x02, 0xa2, 0x01, 0x00, 0x02, 0xa2, 0x01, 0x08, 0x02, 0x82, 0x01, 0x10, 0, 0}},
		"ids that are fewer than said": {tokens, []byte{0x22, 0x0b, 0x04, 0xa2, 0x01, 0x00, 0x02, 0xa2, 0x01, 0x18, 0x1a, 0x02, 0x81, 0x02, 0, 0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			ref, open := next(tc.change)
			s := raw.stream(open)
			raw.uplink(append(encode(t, &wire.UplinkHeader{Ref: ref}), tc.b...))
			wantRefusal(t, s, wire.CodeProtocol)
		})
	}
	t.Run("since beyond the branch", func(t *testing.T) {
		u := raw.uplink(encode(t, &wire.UplinkHeader{Ref: openMsg(0).Ref, Since: 7}))
		eventually(t, func() bool { _, err := u.Write([]byte{0}); return err != nil })
	})
	t.Run("older branches of one that stands", func(t *testing.T) {
		ref, open := next(func(m *wire.Open) { m.Resends = true; m.Branch = 9 })
		s := raw.stream(open)
		ref.Branch = 9
		raw.uplink(encode(t, &wire.UplinkHeader{Ref: ref}, wire.EncodeHidden(0, width, row, wire.F32)))
		ref.Position = 0
		s.Write(encode(t, wire.NewAsk(ref, 1, 0, nil)))
		r := wire.NewReader(s, 0)
		r.Next() // Opened
		if m, err := r.Next(); err != nil || m.Type() != wire.TypeAnswer {
			t.Fatalf("%+v, %v", m, err)
		}
		ref.Branch = 3
		raw.uplink(encode(t, &wire.UplinkHeader{Ref: ref}, wire.EncodeHidden(0, width, make([]float32, width), wire.F32)))
		ref.Branch = 9
		s.Write(encode(t, wire.NewAsk(ref, 2, 0, nil)))
		m, err := r.Next()
		must(t, err)
		if a, ok := m.(*wire.Answer); !ok || a.Logits[0] != fakestage.Expect(row, width, vocab)[0] {
			t.Fatalf("%+v", m)
		}
	})
	_, err := good.Write(encode(t, wire.NewAsk(openMsg(0).Ref, 1, 0, nil)))
	must(t, err)
	r := wire.NewReader(good, 0)
	r.Next() // Opened
	if m, err := r.Next(); err != nil || m.Type() != wire.TypeAnswer {
		t.Fatalf("the good session: %+v, %v", m, err)
	}
}
