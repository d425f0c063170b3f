package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// DType is an element type, numbered as ggml numbers them (enum ggml_type).
type DType uint32

const (
	F32  DType = 0
	F16  DType = 1
	Q8_0 DType = 8 // blocks of 32 int8 with a float16 scale, 34 bytes each
	I32  DType = 26
)

// maxDims is how many dimensions a tensor may have.
const maxDims = 4

var errTensor = errors.New("bad tensor")

// TensorHeader says what the raw little-endian bytes in a frame's body are.
// Dims are outermost first: hidden states are [n_tokens, n_embd].
type TensorHeader struct {
	DType DType    `cbor:"1,keyasint"`
	Dims  []uint64 `cbor:"2,keyasint"`
}

// Size returns the bytes of the tensor's data. It fails for an unknown type,
// more than four dimensions, a dimension of 0, rows that are not whole blocks,
// and a product that overflows.
func (h TensorHeader) Size() (int, error) {
	block, bytes := uint64(1), uint64(4) // of I32
	if e := h.DType.encoding(); e != nil {
		block, bytes = uint64(e.Block), uint64(e.BlockBytes)
	} else if h.DType != I32 {
		return 0, fmt.Errorf("%w: type %d", errTensor, h.DType)
	}
	if len(h.Dims) == 0 || len(h.Dims) > maxDims {
		return 0, fmt.Errorf("%w: %d dimensions", errTensor, len(h.Dims))
	}
	if h.Dims[len(h.Dims)-1]%block != 0 {
		return 0, fmt.Errorf("%w: rows of %d are not whole blocks", errTensor, h.Dims[len(h.Dims)-1])
	}
	size := uint64(1)
	for _, d := range h.Dims {
		var ok bool
		if size, ok = mulSize(size, d); !ok || d == 0 {
			return 0, fmt.Errorf("%w: dimensions %v", errTensor, h.Dims)
		}
	}
	size, ok := mulSize(size/block, bytes)
	if !ok || size > MaxBody {
		return 0, fmt.Errorf("%w: dimensions %v", errTensor, h.Dims)
	}
	return int(size), nil
}

// split cuts the data of this tensor off the front of body.
func (h TensorHeader) split(body []byte) (data, rest []byte, err error) {
	n, err := h.Size()
	if err != nil {
		return nil, nil, err
	}
	if n > len(body) {
		return nil, nil, fmt.Errorf("%w: %d bytes of %d", errTensor, len(body), n)
	}
	return body[:n], body[n:], nil
}

// vector is the header of a one-dimensional tensor, nil for an empty one.
func vector(t DType, n int) *TensorHeader {
	if n == 0 {
		return nil
	}
	return &TensorHeader{DType: t, Dims: []uint64{uint64(n)}}
}

// splitVector cuts the data of an optional one-dimensional tensor of type t
// off the front of body.
func splitVector(h *TensorHeader, t DType, body []byte) (data, rest []byte, err error) {
	if h == nil {
		return nil, body, nil
	}
	if h.DType != t || len(h.Dims) != 1 {
		return nil, nil, fmt.Errorf("%w: want a vector of type %d", errTensor, t)
	}
	return h.split(body)
}

// matrix is vector for several rows that have n elements together, [rows][n/rows].
func matrix(t DType, rows, n int) *TensorHeader {
	if rows == 1 || n == 0 {
		return vector(t, n)
	}
	return &TensorHeader{DType: t, Dims: []uint64{uint64(rows), uint64(n / rows)}}
}

// splitMatrix is splitVector for the header that matrix makes of so many rows.
func splitMatrix(h *TensorHeader, t DType, rows int, body []byte) (data, rest []byte, err error) {
	if h == nil || rows == 1 {
		return splitVector(h, t, body)
	}
	if h.DType != t || len(h.Dims) != 2 || h.Dims[0] != uint64(rows) {
		return nil, nil, fmt.Errorf("%w: want a matrix of %d rows of type %d", errTensor, rows, t)
	}
	return h.split(body)
}

func appendFloats(dst []byte, v []float32) []byte {
	for _, f := range v {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(f))
	}
	return dst
}

func floats(dst []float32, data []byte) []float32 {
	for ; len(data) >= 4; data = data[4:] {
		dst = append(dst, math.Float32frombits(binary.LittleEndian.Uint32(data)))
	}
	return dst
}

func appendInts(dst []byte, v []int32) []byte {
	for _, i := range v {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(i))
	}
	return dst
}

func ints(data []byte) []int32 {
	if len(data) == 0 {
		return nil
	}
	out := make([]int32, 0, len(data)/4)
	for ; len(data) >= 4; data = data[4:] {
		out = append(out, int32(binary.LittleEndian.Uint32(data)))
	}
	return out
}
