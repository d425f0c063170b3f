package wire

var encodingF32 = register(Encoding{
	Name: "f32", Element: "f32", DType: F32, Help: "exact", Exact: true,
	Block: 1, BlockBytes: 4,
	Append: appendFloats,
	Decode: floats,
})
