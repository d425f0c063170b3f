package train

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"math"
	"slices"
	"strings"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/train/matrix"
)

// Convert turns whole rows of cols values of one type into another.
type Convert func(dst, src gguf.Type, cols int, data []byte) ([]byte, error)

// Model is a whole model of which the first To blocks are to become a draft, and the blocks
// from From on are trained for it.
type Model struct {
	File     *gguf.File
	From, To int
	Convert  Convert
}

// floats are a tensor's values.
func (m Model) floats(name string, want int) ([]float32, error) {
	t, ok := m.File.Tensor(name)
	if !ok {
		return nil, fmt.Errorf("%s: %w: it has no tensor %s", m.File.Name, ErrArchitecture, name)
	}
	raw := make([]byte, t.Size)
	if _, err := io.ReadFull(m.File.Data(t), raw); err != nil {
		return nil, err
	}
	return m.convert(t, raw, want)
}

// convert makes floats of some rows of a tensor.
func (m Model) convert(t gguf.Tensor, raw []byte, want int) (out []float32, err error) {
	if t.Type != gguf.F32 {
		if raw, err = m.Convert(gguf.F32, t.Type, int(t.Cols()), raw); err != nil {
			return nil, fmt.Errorf("%s: tensor %s: %w", m.File.Name, t.Name, err)
		}
	}
	if len(raw) != 4*want {
		return nil, fmt.Errorf("%s: %w: tensor %s has %d values, not %d", m.File.Name, ErrArchitecture, t.Name, len(raw)/4, want)
	}
	out = make([]float32, want)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out, nil
}

// Net is what is to be trained: the model's own blocks, and behind its output norm the
// translator head [width][width] with its bias [width]. Errors wrap ErrArchitecture.
func (m Model) Net(head, bias []float32, threads int) (*Net, error) {
	s, err := ShapeOf(m.File)
	if err != nil {
		return nil, err
	}
	n := s.newNet(m.To-m.From, threads)
	if len(head) != len(n.w.head) || len(bias) != len(n.w.bias) {
		return nil, fmt.Errorf("%s: %w: %d values are no translator of width %d", m.File.Name, ErrArchitecture, len(head), s.Width)
	}
	copy(n.w.head, head)
	copy(n.w.bias, bias)
	fill := func(to []float32, name string) error {
		v, err := m.floats(name, len(to))
		copy(to, v)
		return err
	}
	for i := range n.w.blocks {
		for k, f := range n.w.blocks[i].fields() {
			if err := fill(*f, fmt.Sprintf("blk.%d.%s", m.From+i, tensors[k].name)); err != nil {
				return nil, err
			}
		}
	}
	return n, fill(n.w.norm, "output_norm.weight")
}

// lm is the tensor of the LM head.
func (m Model) lm() (gguf.Tensor, error) {
	t, ok := m.File.Tensor("output.weight")
	if !ok {
		t, ok = m.File.Tensor("token_embd.weight")
	}
	if !ok || len(t.Dims) != 2 {
		return t, fmt.Errorf("%s: %w: it has no LM head", m.File.Name, ErrArchitecture)
	}
	return t, nil
}

// LM reads all rows of the LM head.
func (m Model) LM() ([]float32, error) {
	t, err := m.lm()
	if err != nil {
		return nil, err
	}
	return m.floats(t.Name, int(t.Rows()*t.Cols()))
}

// trainedType is what trained matrices are stored in.
const trainedType = gguf.Q8_0

// draftArchitecture is what the draft's file is of: its blocks compute what llama's do, and
// llama.cpp adds its tensor output.bias to the logits, for which llama has no tensor. It turns
// a head's first half with its second and not neighbours, so that the rows of queries and keys
// change places.
const draftArchitecture = "qwen2"

// Plan lays out the draft: the first blocks as they are, those that were trained, and the LM
// head with the translator and its bias multiplied in.
func (m Model) Plan(n *Net) (*gguf.Layout, error) {
	lm, err := m.lm()
	if err != nil {
		return nil, err
	}
	var kvs []gguf.KV
	for _, kv := range m.File.KVs {
		switch {
		case strings.HasPrefix(kv.Key, "skerry."), strings.HasPrefix(kv.Key, "split."),
			kv.Key == "general.alignment", kv.Key == "general.file_type":
			continue
		case kv.Key == "general.architecture":
			kv = gguf.StringKV(kv.Key, draftArchitecture)
		case kv.Key == "llama.block_count":
			kv = gguf.Uint32KV(kv.Key, uint32(m.To))
		}
		if key, ok := strings.CutPrefix(kv.Key, "llama."); ok {
			kv.Key = draftArchitecture + "." + key
		}
		kvs = append(kvs, kv)
	}
	var outs []gguf.Out
	for _, t := range m.File.Tensors {
		out := gguf.Out{Name: t.Name, Type: t.Type, Dims: t.Dims, Data: func(ctx context.Context, w io.Writer) error {
			if heads := n.turned(t.Name); heads > 0 {
				raw := make([]byte, t.Size)
				if _, err := io.ReadFull(m.File.Data(t), raw); err != nil {
					return err
				}
				_, err := w.Write(apart(raw, heads, n.Head))
				return err
			}
			_, err := io.Copy(w, m.File.Data(t))
			return err
		}}
		block, rest, err := bundle.BlockOf(t.Name)
		switch {
		case err != nil:
			return nil, err
		case block >= m.To || t.Name == "output.weight":
			continue
		case block >= m.From:
			for k, f := range n.w.blocks[block-m.From].fields() {
				if tensors[k].name == rest {
					v := *f
					if heads := n.turned(t.Name); heads > 0 {
						v = apart(v, heads, n.Head)
					}
					out = m.trained(t.Name, t.Dims, v)
				}
			}
		case t.Name == "output_norm.weight":
			out = m.trained(t.Name, t.Dims, n.w.norm)
		}
		outs = append(outs, out)
	}
	outs = append(outs, gguf.Out{Name: "output.weight", Type: storedAs(lm.Dims), Dims: lm.Dims, Data: func(ctx context.Context, w io.Writer) error {
		return m.writeHead(ctx, n, lm, w)
	}})
	outs = append(outs, gguf.Out{Name: bundle.OutputBias, Type: gguf.F32, Dims: lm.Dims[1:], Data: func(ctx context.Context, w io.Writer) error {
		return m.writeBias(ctx, n, lm, w)
	}})
	return gguf.Plan(kvs, outs)
}

// turned is how many heads a tensor has whose rows positions turn, or 0.
func (s Shape) turned(name string) int {
	switch {
	case strings.HasSuffix(name, ".attn_q.weight"):
		return s.Heads
	case strings.HasSuffix(name, ".attn_k.weight"):
		return s.KVHeads
	}
	return 0
}

// apart has the rows of each head, which are turned in pairs of neighbours, in the order in
// which those that are turned together lie half a head apart.
func apart[T any](v []T, heads, head int) []T {
	out, cols := make([]T, 0, len(v)), len(v)/(heads*head)
	for h := range heads {
		for i := range head {
			row := h*head + i%(head/2)*2 + i/(head/2)
			out = append(out, v[row*cols:(row+1)*cols]...)
		}
	}
	return out
}

// storedAs is the type of what was trained: norms, and rows that are no whole blocks of the
// type, stay as they are.
func storedAs(dims []int64) gguf.Type {
	if len(dims) != 2 || dims[0]%trainedType.Block() != 0 {
		return gguf.F32
	}
	return trainedType
}

func (m Model) trained(name string, dims []int64, v []float32) gguf.Out {
	to := storedAs(dims)
	return gguf.Out{Name: name, Type: to, Dims: dims, Data: func(ctx context.Context, w io.Writer) error {
		return m.write(w, to, int(dims[0]), v)
	}}
}

func (m Model) write(w io.Writer, to gguf.Type, cols int, v []float32) (err error) {
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	if to != gguf.F32 {
		if raw, err = m.Convert(to, gguf.F32, cols, raw); err != nil {
			return err
		}
	}
	_, err = w.Write(raw)
	return err
}

// writeHead writes LM·T.
func (m Model) writeHead(ctx context.Context, n *Net, lm gguf.Tensor, w io.Writer) error {
	return m.eachLM(ctx, n.Width, lm, func(v []float32) error {
		out := make([]float32, len(v))
		matrix.Mul(n.Threads, matrix.Of(out, n.Width), matrix.Of(v, n.Width), matrix.Of(n.w.head, n.Width))
		return m.write(w, storedAs(lm.Dims), n.Width, out)
	})
}

// writeBias writes LM·b.
func (m Model) writeBias(ctx context.Context, n *Net, lm gguf.Tensor, w io.Writer) error {
	return m.eachLM(ctx, n.Width, lm, func(v []float32) error {
		out := make([]float32, len(v)/n.Width)
		matrix.Mul(n.Threads, matrix.Of(out, 1), matrix.Of(v, n.Width), matrix.Of(n.w.bias, 1))
		return m.write(w, gguf.F32, len(out), out)
	})
}

// eachLM reads the LM head, some rows at a time.
func (m Model) eachLM(ctx context.Context, width int, lm gguf.Tensor, take func(rows []float32) error) error {
	const chunk = 1024
	row := lm.Size / lm.Rows()
	for at := int64(0); at < lm.Rows(); at += chunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows := min(chunk, lm.Rows()-at)
		raw := make([]byte, rows*row)
		if _, err := m.File.ReadAt(raw, lm.Offset+at*row); err != nil {
			return err
		}
		v, err := m.convert(lm, raw, int(rows)*width)
		if err != nil {
			return err
		}
		if err := take(v); err != nil {
			return err
		}
	}
	return nil
}

// ErrState is wrapped where a file does not hold the state of such a training.
var ErrState = errors.New("not the state of this training")

const stateMagic = "skerry training 3\n"

// WriteState stores all that the descent goes on from, between two steps.
func (n *Net) WriteState(out io.Writer) error {
	sum := crc32.NewIEEE()
	w := io.MultiWriter(out, sum)
	if _, err := io.WriteString(w, stateMagic); err != nil {
		return err
	}
	if err := binary.Write(w, binary.LittleEndian, []uint64{uint64(len(n.w.all)), uint64(n.adam.step)}); err != nil {
		return err
	}
	for _, v := range n.state() {
		for part := range chunks(v) {
			if err := binary.Write(w, binary.LittleEndian, part); err != nil {
				return err
			}
		}
	}
	return binary.Write(out, binary.LittleEndian, sum.Sum32())
}

// ReadState takes what WriteState stored. Where it fails, with an error that wraps ErrState, the
// net is to be made anew.
func (n *Net) ReadState(in io.Reader) error {
	sum := crc32.NewIEEE()
	r := io.TeeReader(in, sum)
	magic, size := make([]byte, len(stateMagic)), make([]uint64, 2)
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != stateMagic {
		return fmt.Errorf("%w: it begins otherwise", ErrState)
	}
	if err := binary.Read(r, binary.LittleEndian, size); err != nil || size[0] != uint64(len(n.w.all)) || size[1] > math.MaxInt32 {
		return fmt.Errorf("%w: it is of %d weights", ErrState, size[0])
	}
	n.adam.step = int(size[1])
	for _, v := range n.state() {
		for part := range chunks(v) {
			if err := binary.Read(r, binary.LittleEndian, part); err != nil {
				return fmt.Errorf("%w: it ends too early", ErrState)
			}
		}
	}
	var want uint32
	if err := binary.Read(in, binary.LittleEndian, &want); err != nil || want != sum.Sum32() {
		return fmt.Errorf("%w: its checksum is not that of its bytes", ErrState)
	}
	return nil
}

// state is all that the descent goes on from, for which it makes room at first.
func (n *Net) state() [][]float32 {
	if n.adam.m == nil {
		n.adam.m, n.adam.v, n.adam.w = make([]float32, len(n.w.all)), make([]float32, len(n.w.all)), make([]float32, len(n.w.all))
	}
	return [][]float32{n.w.all, n.adam.m, n.adam.v, n.adam.w}
}

// chunks are pieces of v that are small enough to be turned into bytes at once.
func chunks(v []float32) iter.Seq[[]float32] { return slices.Chunk(v, 1<<18) }
