package wire

// Each value is rounded to the nearest float16, ties to even (IEEE 754).
var _ = register(Encoding{
	Name: "f16", Element: "f16", DType: F16, Help: "half the bytes",
	Block: 1, BlockBytes: 2, Limit: halfLimit,
	Append: func(dst []byte, values []float32) []byte {
		for _, v := range values {
			dst = appendHalf(dst, v)
		}
		return dst
	},
	Decode: func(dst []float32, data []byte) []float32 {
		for ; len(data) >= 2; data = data[2:] {
			dst = append(dst, half(data))
		}
		return dst
	},
})
