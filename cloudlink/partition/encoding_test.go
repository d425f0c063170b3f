package partition_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/wire"
)

// as returns rows as they come out of an encoding.
func as(t testing.TB, e wire.DType, rows []float32) []float32 {
	t.Helper()
	out, err := wire.EncodeHidden(0, width, rows, e).Float32(nil)
	must(t, err)
	return out
}

// TestEncodings: the best that both sides know is used, and the cloud computes
// from what it says, no more and no less.
func TestEncodings(t *testing.T) {
	for name, tc := range map[string]struct {
		offers []wire.DType
		exact  bool
		want   wire.DType
		bytes  int
	}{
		"nothing said":      {nil, false, wire.F32, 64},
		"half":              {[]wire.DType{wire.F16}, false, wire.F16, 32},
		"blocks do not fit": {[]wire.DType{wire.Q8_0, wire.F16}, false, wire.F16, 32}, // rows of 16
		"unknown":           {[]wire.DType{99, wire.F16}, false, wire.F16, 32},
		"exact":             {[]wire.DType{wire.F16}, true, wire.F32, 64},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
			s := open(t, c.dial(t), func(o *cloudlink.SessionOptions) { o.Encodings, o.Exact = tc.offers, tc.exact })
			must(t, ready(t, s))
			hidden := rows(rand.New(rand.NewPCG(11, 1)), 20)
			must(t, s.Append(0, hidden))
			wantRow(t, ask(t, s, 19, 0), as(t, tc.want, hidden))
			if st := s.Stats(); st.Encoding != tc.want || st.RowBytes != tc.bytes || int(st.Bytes) > 20*tc.bytes+200 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestBlocks: a model of whole blocks gets 8-bit rows, 34 bytes for 32 values.
func TestBlocks(t *testing.T) {
	const wide = 64
	c := newCloud(t, fakestage.New(wide, vocab, 1, 1024, 64))
	s := open(t, c.dial(t), func(o *cloudlink.SessionOptions) {
		o.Width, o.Encodings = wide, []wire.DType{wire.Q8_0}
	})
	must(t, ready(t, s))
	rng := rand.New(rand.NewPCG(11, 2))
	hidden := make([]float32, 100*wide)
	for i := range hidden {
		hidden[i] = float32(rng.NormFloat64())
	}
	must(t, s.Append(0, hidden))
	sent, err := wire.EncodeHidden(0, wide, hidden, wire.Q8_0).Float32(nil)
	must(t, err)
	if a := ask(t, s, 99, 0); !slices.Equal(a.Row, fakestage.Expect(sent, wide, vocab)) {
		t.Error("other logits than those of the rows that were sent")
	}
	if st := s.Stats(); st.RowBytes != 68 || st.Encoding != wire.Q8_0 {
		t.Errorf("%+v", st)
	}
}

// TestTwoBundles serves two models at once. A session id means one context in
// each.
func TestTwoBundles(t *testing.T) {
	other := fakestage.New(width, vocab/2, 2, 1024, 64)
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), withBundle(wire.Hash{8}, other))
	client := c.dial(t)
	rng := rand.New(rand.NewPCG(11, 3))
	a := open(t, client, durable)
	b := open(t, client, durable, func(o *cloudlink.SessionOptions) { o.Bundle = wire.Hash{8} })
	ha, hb := rows(rng, 30), rows(rng, 20)
	must(t, a.Append(0, ha))
	must(t, b.Append(0, hb))
	check := func() {
		t.Helper()
		wantRow(t, ask(t, a, 29, 0), ha)
		if got := ask(t, b, 19, 0); !slices.Equal(got.Row, fakestage.Expect(hb, width, vocab/2)) {
			t.Error("wrong logits of the second model")
		}
	}
	check()
	must(t, client.Close())
	eventually(t, func() bool { return c.server.Stats().Contexts == 2 })
	again := c.dial(t, inEpoch(2))
	must(t, again.Resume(t.Context(), a))
	must(t, again.Resume(t.Context(), b))
	check()
	if n, m := c.stage.Rows.Load(), other.Rows.Load(); n != 30 || m != 20 {
		t.Errorf("%d and %d rows computed", n, m)
	}
	must(t, a.Close())
	must(t, b.Close())
}
