package wire

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/x448/float16"
)

// q8Block is how many values of a row share one scale in Q8_0.
const q8Block = 32

// maxHalf is the first magnitude that rounds to infinity as a float16.
const maxHalf = 65520

// Encodes reports whether this package can send and receive hidden states as t.
func Encodes(t DType) bool { return t == F32 || t == F16 || t == Q8_0 }

// Fit returns the encoding that rows of width use when t was agreed: Q8_0 needs
// whole blocks and falls back to float16.
func (t DType) Fit(width int) DType {
	if t == Q8_0 && width%q8Block != 0 {
		return F16
	}
	return t
}

// RowBytes returns the bytes of one row of width values.
func (t DType) RowBytes(width int) int {
	n, err := TensorHeader{DType: t.Fit(width), Dims: []uint64{1, uint64(width)}}.Size()
	if err != nil {
		return 0
	}
	return n
}

// EncodeHidden returns rows, [n][width]float32, as t from position pos on: F16
// rounded to nearest even (IEEE 754), or Q8_0 with the rounding of ggml's
// reference quantizer, whose error is at most half a 127th of the largest
// magnitude in each block of 32, beside the scale's own rounding to float16.
// Rows that t cannot hold, as infinities or values beyond a float16, go as
// float32: a frame says itself what it carries.
func EncodeHidden(pos uint64, width int, rows []float32, t DType) *Hidden {
	t = t.Fit(width)
	if t == F32 || !holds(t, rows) {
		return NewHidden(pos, width, rows)
	}
	h := &Hidden{
		Position: pos,
		Tensor:   TensorHeader{DType: t, Dims: []uint64{uint64(len(rows) / width), uint64(width)}},
		Data:     make([]byte, 0, len(rows)/width*t.RowBytes(width)),
	}
	if t == F16 {
		for _, v := range rows {
			h.Data = binary.LittleEndian.AppendUint16(h.Data, float16.Fromfloat32(v).Bits())
		}
		return h
	}
	for ; len(rows) > 0; rows = rows[q8Block:] {
		h.Data = appendQ8(h.Data, rows[:q8Block])
	}
	return h
}

// holds reports whether every value survives t as a finite number.
func holds(t DType, rows []float32) bool {
	limit := float32(maxHalf)
	if t == Q8_0 {
		limit *= 127
	}
	for _, v := range rows {
		if !(v < limit && v > -limit) { // NaN compares false
			return false
		}
	}
	return true
}

func appendQ8(dst []byte, block []float32) []byte {
	var top float32
	for _, v := range block {
		top = max(top, float32(math.Abs(float64(v))))
	}
	scale := top / 127
	var inverse float32
	if scale != 0 {
		inverse = 1 / scale
	}
	if math.IsInf(float64(inverse), 0) { // a subnormal scale is 0 as a float16 too
		inverse = 0
	}
	dst = binary.LittleEndian.AppendUint16(dst, float16.Fromfloat32(scale).Bits())
	for _, v := range block {
		q := math.Round(float64(v * inverse))
		dst = append(dst, byte(int8(max(-127, min(127, q)))))
	}
	return dst
}

// Float32 appends the rows to dst, [n_tokens][n_embd]float32.
func (h *Hidden) Float32(dst []float32) ([]float32, error) {
	data := h.Data
	switch h.Tensor.DType {
	case F32:
		return floats(dst, data), nil
	case F16:
		for ; len(data) >= 2; data = data[2:] {
			dst = append(dst, half(data))
		}
		return dst, nil
	case Q8_0:
		for ; len(data) >= 2+q8Block; data = data[2+q8Block:] {
			scale := half(data)
			for _, q := range data[2 : 2+q8Block] {
				dst = append(dst, scale*float32(int8(q)))
			}
		}
		return dst, nil
	}
	return dst, fmt.Errorf("%w: hidden states of type %d", errTensor, h.Tensor.DType)
}

func half(b []byte) float32 {
	return float16.Frombits(binary.LittleEndian.Uint16(b)).Float32()
}
