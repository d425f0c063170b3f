package wire

import "math"

// q8Block is how many values of a row share one scale in Q8_0.
const q8Block = 32

// Q8_0 has blocks of a float16 scale and 32 int8, with the rounding of ggml's
// reference quantizer. The error is at most half a 127th of the largest magnitude in
// each block, beside the scale's own rounding to float16.
var _ = register(Encoding{
	Name: "q8", Element: "q8_0", DType: Q8_0, Help: "a quarter",
	Block: q8Block, BlockBytes: 2 + q8Block, Limit: 127 * halfLimit,
	Append: func(dst []byte, values []float32) []byte {
		for ; len(values) >= q8Block; values = values[q8Block:] {
			dst = appendQ8(dst, values[:q8Block])
		}
		return dst
	},
	Decode: func(dst []float32, data []byte) []float32 {
		for ; len(data) >= 2+q8Block; data = data[2+q8Block:] {
			scale := half(data)
			for _, q := range data[2 : 2+q8Block] {
				dst = append(dst, scale*float32(int8(q)))
			}
		}
		return dst
	},
})

func appendQ8(dst []byte, block []float32) []byte {
	var top float32
	for _, v := range block {
		top = max(top, abs(v))
	}
	scale := top / 127
	var inverse float32
	if scale != 0 {
		inverse = 1 / scale
	}
	if math.IsInf(float64(inverse), 0) { // a subnormal scale is 0 as a float16 too
		inverse = 0
	}
	dst = appendHalf(dst, scale)
	for _, v := range block {
		q := math.Round(float64(v * inverse))
		dst = append(dst, byte(int8(max(-127, min(127, q)))))
	}
	return dst
}
