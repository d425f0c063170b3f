package split

import (
	"context"
	"fmt"
	"io"
	"strings"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/gguf"
)

// Quantizer converts whole rows of cols values from one type to another,
// by way of float32. It must be safe for concurrent use and deterministic.
type Quantizer func(dst, src gguf.Type, cols int, data []byte) ([]byte, error)

// The values of Options.Type.
const (
	TypeAuto = "auto" // replace only types without fast kernels
	TypeQ4_0 = "q4_0" // blocks in q4_0, the vocabulary's matrices in q8_0
	TypeQ8_0 = "q8_0" // every matrix in q8_0
	TypeKeep = "keep" // as they are in the source
)

// slowBecomes is what TypeAuto makes of a matrix in q4_1, q5_0 or q5_1, which
// have no repacked kernels: q8_0 keeps the likelihood of text and takes 1.7 times
// the bytes of q4_1; q4_0 is smaller and faster, and changes a third of the greedy
// tokens (parity.BenchmarkTypes).
const slowBecomes = gguf.Q8_0

// rowBytes is about how much of a tensor is converted at once.
const rowBytes = 1 << 20

func validType(t string) error {
	switch t {
	case TypeAuto, TypeQ4_0, TypeQ8_0, TypeKeep:
		return nil
	}
	return fmt.Errorf("type %q is none of auto, q4_0, q8_0, keep", gguf.Short(t))
}

// target chooses the type a tensor is stored in. Only weight matrices change;
// norms and biases are small and decide much.
func target(want string, t gguf.Tensor) gguf.Type {
	if len(t.Dims) != 2 || !strings.HasSuffix(t.Name, ".weight") {
		return t.Type
	}
	to := t.Type
	switch want {
	case TypeAuto:
		if t.Type == gguf.Q4_1 || t.Type == gguf.Q5_0 || t.Type == gguf.Q5_1 {
			to = slowBecomes
		}
	case TypeQ8_0:
		to = gguf.Q8_0
	case TypeQ4_0:
		to = gguf.Q4_0
		if bundle.VocabMatrix(t.Name) && t.Type != gguf.Q4_0 {
			to = gguf.Q8_0
		}
	}
	if t.Cols()%to.Block() != 0 {
		return t.Type
	}
	return to
}

// copyTensor gives the callback that writes a tensor as it is.
func copyTensor(f *gguf.File, t gguf.Tensor) func(context.Context, io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		return eachChunk(ctx, f, t, 1, func(b []byte) error {
			_, err := w.Write(b)
			return err
		})
	}
}

// convertTensor gives the callback that writes a tensor in another type.
func convertTensor(f *gguf.File, t gguf.Tensor, to gguf.Type, q Quantizer) func(context.Context, io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		row := t.Size / t.Rows()
		out, err := to.Size([]int64{t.Cols(), 1})
		if err != nil {
			return err
		}
		return eachChunk(ctx, f, t, row, func(b []byte) error {
			converted, err := q(to, t.Type, int(t.Cols()), b)
			if err != nil {
				return fmt.Errorf("convert %v to %v: %w", t.Type, to, err)
			}
			if want := out * (int64(len(b)) / row); int64(len(converted)) != want {
				return fmt.Errorf("convert %v to %v: got %d bytes, want %d", t.Type, to, len(converted), want)
			}
			_, err = w.Write(converted)
			return err
		})
	}
}

// eachChunk reads a tensor in pieces of whole units.
func eachChunk(ctx context.Context, f *gguf.File, t gguf.Tensor, unit int64, do func([]byte) error) error {
	r := f.Data(t)
	buf := make([]byte, min(max(rowBytes/unit, 1)*unit, t.Size))
	for left := t.Size; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(int64(len(buf)), left)]
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("read %s: %w", f.Name, err)
		}
		if err := do(b); err != nil {
			return err
		}
		left -= int64(len(b))
	}
	return nil
}
