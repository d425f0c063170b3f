package gguf

import (
	"fmt"
	"math"
)

// Type is a ggml tensor type by its code in the file.
type Type uint32

// The tensor types that are named in this program; the table has the others.
const (
	F32    Type = 0
	F16    Type = 1
	Q4_0   Type = 2
	Q4_1   Type = 3
	Q5_0   Type = 6
	Q5_1   Type = 7
	Q8_0   Type = 8
	Q8_1   Type = 9
	Q2_K   Type = 10
	Q3_K   Type = 11
	Q4_K   Type = 12
	Q5_K   Type = 13
	Q6_K   Type = 14
	Q8_K   Type = 15
	IQ4_NL Type = 20
	I32    Type = 26
	BF16   Type = 30
)

type typeInfo struct {
	name  string
	block int64 // elements
	bytes int64 // per block
	// matmul: ggml can multiply by a matrix of this type and look rows up in
	// it. It aborts the process over the others.
	matmul bool
}

var types = map[Type]typeInfo{
	F32:    {"f32", 1, 4, true},
	F16:    {"f16", 1, 2, true},
	Q4_0:   {"q4_0", 32, 18, true},
	Q4_1:   {"q4_1", 32, 20, true},
	Q5_0:   {"q5_0", 32, 22, true},
	Q5_1:   {"q5_1", 32, 24, true},
	Q8_0:   {"q8_0", 32, 34, true},
	Q8_1:   {"q8_1", 32, 36, false},
	Q2_K:   {"q2_k", 256, 84, true},
	Q3_K:   {"q3_k", 256, 110, true},
	Q4_K:   {"q4_k", 256, 144, true},
	Q5_K:   {"q5_k", 256, 176, true},
	Q6_K:   {"q6_k", 256, 210, true},
	Q8_K:   {"q8_k", 256, 292, false},
	16:     {"iq2_xxs", 256, 66, true},
	17:     {"iq2_xs", 256, 74, true},
	18:     {"iq3_xxs", 256, 98, true},
	19:     {"iq1_s", 256, 50, true},
	IQ4_NL: {"iq4_nl", 32, 18, true},
	21:     {"iq3_s", 256, 110, true},
	22:     {"iq2_s", 256, 82, true},
	23:     {"iq4_xs", 256, 136, true},
	24:     {"i8", 1, 1, false},
	25:     {"i16", 1, 2, false},
	I32:    {"i32", 1, 4, false},
	27:     {"i64", 1, 8, false},
	28:     {"f64", 1, 8, false},
	29:     {"iq1_m", 256, 56, true},
	BF16:   {"bf16", 1, 2, true},
	34:     {"tq1_0", 256, 54, true},
	35:     {"tq2_0", 256, 66, true},
	39:     {"mxfp4", 32, 17, true},
}

// String is the type's name in lower case, or its number if it has none.
func (t Type) String() string {
	if i, ok := types[t]; ok {
		return i.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Known tells whether the type is in ggml's table.
func (t Type) Known() bool { _, ok := types[t]; return ok }

// Matmul tells whether ggml computes with weight matrices of this type.
func (t Type) Matmul() bool { return types[t].matmul }

// Block is the number of elements that share one block, 0 for an unknown type.
func (t Type) Block() int64 { return types[t].block }

// BlockBytes is the size of one block, 0 for an unknown type.
func (t Type) BlockBytes() int64 { return types[t].bytes }

// Size is the number of bytes of a tensor of the given dimensions. It fails
// for unknown types, for dimensions below 1 or that are not whole blocks, and
// where the product does not fit an int64.
func (t Type) Size(dims []int64) (int64, error) {
	info, ok := types[t]
	if !ok {
		return 0, fmt.Errorf("has unknown ggml type %d", uint32(t))
	}
	if len(dims) < 1 || len(dims) > maxDims {
		return 0, fmt.Errorf("has %d dimensions, 1 to %d are possible", len(dims), maxDims)
	}
	// The count of elements has to fit too, since ggml multiplies it out.
	elements, bytes := int64(1), info.bytes
	for i, d := range dims {
		if d < 1 {
			return 0, fmt.Errorf("has %d as dimension %d", d, i)
		}
		if elements > (math.MaxInt64-1)/d {
			return 0, fmt.Errorf("has dimensions %v whose product overflows", dims)
		}
		elements *= d
		if i == 0 {
			if d%info.block != 0 {
				return 0, fmt.Errorf("has rows of %d elements, not whole %s blocks of %d", d, info.name, info.block)
			}
			d /= info.block
		}
		if bytes > math.MaxInt64/d {
			return 0, fmt.Errorf("has dimensions %v whose size overflows", dims)
		}
		bytes *= d
	}
	return bytes, nil
}
