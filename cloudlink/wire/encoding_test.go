package wire

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/x448/float16"
	"pgregory.net/rapid"

	_ "skerry/build/testseed" // of rapid
)

// hiddenRows draws rows as models make them: mostly small, some outliers.
func hiddenRows(t *rapid.T, width int) []float32 {
	scale := math.Pow(10, float64(rapid.IntRange(-9, 6).Draw(t, "scale")))
	rows := make([]float32, width*rapid.IntRange(1, 3).Draw(t, "rows"))
	for i := range rows {
		rows[i] = float32(rapid.Float64Range(-1, 1).Draw(t, "x") * scale)
	}
	return rows
}

// TestHalfError: half a unit in the last place of 11 bits, or of the smallest
// subnormal.
func TestHalfError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := hiddenRows(t, 24)
		h := EncodeHidden(7, 24, rows, F16)
		got, err := h.Float32(nil)
		if err != nil || len(got) != len(rows) || h.check() != nil {
			t.Fatal(err)
		}
		for i, v := range rows {
			bound := math.Max(math.Abs(float64(v))/2048, math.Ldexp(1, -25))
			if d := math.Abs(float64(got[i] - v)); d > bound {
				t.Fatalf("%v came back as %v", v, got[i])
			}
		}
	})
}

// TestBlockError: half a step of each block's scale, beside what the scale lost
// as a float16.
func TestBlockError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := hiddenRows(t, 64)
		h := EncodeHidden(7, 64, rows, Q8_0)
		got, err := h.Float32(nil)
		if err != nil || len(got) != len(rows) || h.check() != nil {
			t.Fatal(err)
		}
		for b := 0; b < len(rows); b += q8Block {
			var top float64
			for _, v := range rows[b : b+q8Block] {
				top = max(top, math.Abs(float64(v)))
			}
			scale := float32(top) / 127
			lost := math.Abs(float64(float16.Fromfloat32(scale).Float32() - scale))
			bound := float64(scale)*0.5001 + 127*lost + 1e-38
			for i, v := range rows[b : b+q8Block] {
				if d := math.Abs(float64(got[b+i] - v)); h.Tensor.DType == Q8_0 && d > bound {
					t.Fatalf("%v came back as %v, scale %v", v, got[b+i], scale)
				}
			}
		}
	})
}

// TestBlockAsGGML has a block worked out by hand after ggml's reference: the
// largest magnitude becomes 127, halves round away from zero.
func TestBlockAsGGML(t *testing.T) {
	block := make([]float32, 32)
	block[0], block[1], block[2], block[3] = -127, 2.5, -2.5, 63.4
	h := EncodeHidden(0, 32, block, Q8_0)
	want := []byte{0x00, 0x3c, 0x81, 3, 0xfd, 63, 0}
	for i, b := range want {
		if h.Data[i] != b {
			t.Fatalf("got % x, want % x", h.Data[:len(want)], want)
		}
	}
}

// TestWhatDoesNotFitGoesAsFloat32: nothing turns into an infinity on the way,
// and a NaN stays what it is.
func TestWhatDoesNotFitGoesAsFloat32(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, v := range []float32{nan, inf, -inf, 65520, -1e9, math.MaxFloat32} {
		for _, enc := range Encodings() {
			e := enc.DType
			row := make([]float32, 32)
			row[5] = v
			h := EncodeHidden(0, 32, row, e)
			got, err := h.Float32(nil)
			if err != nil {
				t.Fatal(err)
			}
			if fits := enc.Exact || v < enc.Limit && v > -enc.Limit; fits != (h.Tensor.DType == e) {
				t.Errorf("%v as %s went as type %d", v, enc.Name, h.Tensor.DType)
			}
			if same := math.Float32bits(got[5]) == math.Float32bits(v); h.Tensor.DType == F32 && !same {
				t.Errorf("%v came back as %v", v, got[5])
			}
		}
	}
	for e, want := range map[DType]int{F32: 64, F16: 32, Q8_0: 32} { // rows of 16 are no blocks
		if n := e.RowBytes(16); n != want {
			t.Errorf("a row of 16 as type %d takes %d bytes", e, n)
		}
	}
	if n := Q8_0.RowBytes(576); n != 612 {
		t.Errorf("a row of 576 as 8-bit blocks takes %d bytes", n)
	}
}

// FuzzEncoding encodes any bit pattern and decodes it again: no panic, and
// finite values stay finite.
func FuzzEncoding(f *testing.F) {
	f.Add(uint32(0x7fc00000), uint32(1), uint8(1))
	f.Add(uint32(0x477fe000), uint32(0x80000001), uint8(8))
	f.Fuzz(func(t *testing.T, a, b uint32, e uint8) {
		row := make([]float32, 32)
		row[0], row[31] = math.Float32frombits(a), math.Float32frombits(b)
		got, err := EncodeHidden(0, 32, row, encodings[int(e)%len(encodings)].DType).Float32(nil)
		if err != nil || len(got) != 32 {
			t.Fatal(len(got), err)
		}
		for i, v := range row {
			in, out := float64(v), float64(got[i])
			if bad := math.IsNaN(out) || math.IsInf(out, 0); bad != (math.IsNaN(in) || math.IsInf(in, 0)) {
				t.Fatalf("%v came back as %v", in, out)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	row := make([]float32, 4096)
	for i := range row {
		row[i] = float32(i%97) / 7
	}
	for _, e := range Encodings() {
		b.Run(e.Element, func(b *testing.B) {
			b.SetBytes(4 * 4096)
			for b.Loop() {
				EncodeHidden(0, 4096, row, e.DType)
			}
		})
	}
}

// TestEncodings holds of every encoding, today's and those to come: what it says of
// its bytes is so, what is exact comes back bit for bit, and the others offer the
// cheaper row.
func TestEncodings(t *testing.T) {
	if got := EncodingHelp(); !strings.HasPrefix(got, "f32 (exact), f16 (half the bytes)") || strings.Contains(LossyNames(), "f32") {
		t.Errorf("%q, lossy %q", got, LossyNames())
	}
	if all := Encodings(); all[0].DType != F32 || !all[0].Exact {
		t.Errorf("%s comes before float32", all[0].Name)
	}
	row := make([]float32, 1024)
	for i := range row {
		row[i] = float32(i%97)/7 - 5
	}
	for _, e := range Encodings() {
		if found, ok := EncodingNamed(e.Name); !ok || found != e || !Encodes(e.DType) || e.Help == "" || e.Element == "" {
			t.Errorf("%s: %+v", e.Name, e)
		}
		h := EncodeHidden(3, len(row), row, e.DType)
		if want := int(float64(len(row)) * e.BytesPerValue()); h.Tensor.DType != e.DType || len(h.Data) != want || e.DType.RowBytes(len(row)) != want {
			t.Errorf("%s: a row takes %d bytes, %d by its header, not %d", e.Name, len(h.Data), e.DType.RowBytes(len(row)), want)
		}
		if err := h.check(); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
		got, err := h.Float32(nil)
		if err != nil || len(got) != len(row) {
			t.Fatalf("%s: %d values, %v", e.Name, len(got), err)
		}
		if e.Exact && !slices.Equal(got, row) {
			t.Errorf("%s is not exact", e.Name)
		}
		if !e.Exact && e.BytesPerValue() >= 4 {
			t.Errorf("%s is lossy and saves nothing", e.Name)
		}
	}
	if _, ok := EncodingNamed("int3"); ok || Encodes(I32) {
		t.Error("what is no encoding passes for one")
	}
}
