package synth

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"io"
	"math"

	"github.com/x448/float16"

	"skerry/appliance/bundle/gguf"
)

var synthTypes = map[string]gguf.Type{
	"q4_0": gguf.Q4_0, "q4_1": gguf.Q4_1, "q8_0": gguf.Q8_0, "f16": gguf.F16, "f32": gguf.F32,
}

// spread is the standard deviation of the values a block of random bits stands
// for, before its scale: 16 or 256 equally likely steps, or 1 for floats.
var spread = map[gguf.Type]float64{
	gguf.Q4_0: 4.64, gguf.Q4_1: 4.61, gguf.Q8_0: 73.9, gguf.F16: 1, gguf.F32: 1,
}

// batchBytes is about how much of a tensor is made at once.
const batchBytes = 1 << 20

// noise makes rows of random weights directly in quantized form. Their standard
// deviation is 0.7/sqrt(cols), so that each matrix about keeps the size of what
// it multiplies and activations stay finite through any number of blocks.
type noise struct {
	state uint64
	ty    gguf.Type
	cols  int
	scale float32
}

// newNoise seeds by name too: a tensor is the same whatever precedes it.
func newNoise(seed uint64, name string, ty gguf.Type, cols int) *noise {
	h := fnv.New64a()
	io.WriteString(h, name)
	return &noise{seed ^ h.Sum64(), ty, cols, float32(0.7 / math.Sqrt(float64(cols)) / spread[ty])}
}

// next is splitmix64.
func (n *noise) next() uint64 {
	n.state += 0x9e3779b97f4a7c15
	z := n.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (n *noise) write(ctx context.Context, w io.Writer, rows int) error {
	row := n.cols / int(n.ty.Block()) * int(n.ty.BlockBytes())
	batch := max(1, batchBytes/row)
	buf := make([]byte, batch*row)
	for rows > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(batch, rows)*row]
		for at := 0; at < len(b); at += int(n.ty.BlockBytes()) {
			n.block(b[at:])
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		rows -= batch
	}
	return nil
}

func (n *noise) block(b []byte) {
	le := binary.LittleEndian
	// The steps of q4_0 and q8_0 are not symmetric about zero; the scale's sign
	// makes the mean over blocks zero.
	r := n.next()
	scale := n.scale
	if r&1 != 0 {
		scale = -scale
	}
	switch n.ty {
	case gguf.F32:
		le.PutUint32(b, math.Float32bits(n.scale*unit(r)))
	case gguf.F16:
		le.PutUint16(b, half(n.scale*unit(r)))
	case gguf.Q4_0:
		le.PutUint16(b, half(scale))
		le.PutUint64(b[2:], n.next())
		le.PutUint64(b[10:], n.next())
	case gguf.Q4_1:
		le.PutUint16(b, half(scale))
		le.PutUint16(b[2:], half(-7.5*scale))
		le.PutUint64(b[4:], n.next())
		le.PutUint64(b[12:], n.next())
	case gguf.Q8_0:
		le.PutUint16(b, half(scale))
		for i := 2; i < 34; i += 8 {
			le.PutUint64(b[i:], n.next())
		}
	}
}

// unit is uniform with mean 0 and standard deviation 1.
func unit(r uint64) float32 {
	return float32((float64(r>>11)/(1<<53) - 0.5) * math.Sqrt(12))
}

// half is the nearest IEEE 754 binary16.
func half(f float32) uint16 { return float16.Fromfloat32(f).Bits() }

func ones(n int) func(context.Context, io.Writer) error {
	return func(_ context.Context, w io.Writer) error {
		b := make([]byte, 4*n)
		for i := range n {
			binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(1))
		}
		_, err := w.Write(b)
		return err
	}
}

// vector writes n float32 values.
func (n *noise) vector(w io.Writer, count int, mean, deviation float32) error {
	b := make([]byte, 4*count)
	for i := range count {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(mean+deviation*unit(n.next())))
	}
	_, err := w.Write(b)
	return err
}
