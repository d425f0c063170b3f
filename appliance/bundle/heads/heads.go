// Package heads has the files of fitted exit heads.
package heads

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/x448/float16"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"
)

// Fitted is what calibration adds to the model's own norm and LM head: the
// logits of an exit are LM[Shortlist] · (Translator · norm(h) + Bias).
type Fitted struct {
	Exit       int
	Translator []float32 // [n_embd][n_embd], a row for each output; stored as float16
	Bias       []float32 // [n_embd]
	Shortlist  []int32   // tokens the head can say, in the order of its logits
}

const (
	keyHeadExit  = "skerry.head.exit"
	keyShortlist = "skerry.head.shortlist"

	tensorTranslator = "translator.weight"
	tensorBias       = "translator.bias"
	headArchitecture = "skerry-exit-head"
)

// File is the file of a head as a manifest has it.
type File struct {
	Name   string
	SHA256 string
	Bytes  int64
}

// Write stores the head in dir under a name of its own, so that a file the old manifest
// names is never overwritten. source is the sha256 of the model it was fitted to.
func (h *Fitted) Write(ctx context.Context, dir, source string) (File, error) {
	n := int64(len(h.Bias))
	l, err := gguf.Plan([]gguf.KV{
		gguf.StringKV("general.architecture", headArchitecture),
		gguf.StringKV(gguf.KeySource, source),
		gguf.Uint32KV(keyHeadExit, uint32(h.Exit)),
		gguf.Int32sKV(keyShortlist, h.Shortlist),
	}, []gguf.Out{
		{Name: tensorTranslator, Type: gguf.F16, Dims: []int64{n, n}, Data: func(_ context.Context, w io.Writer) error {
			return binary.Write(w, binary.LittleEndian, halves(h.Translator))
		}},
		{Name: tensorBias, Type: gguf.F32, Dims: []int64{n}, Data: func(_ context.Context, w io.Writer) error {
			return binary.Write(w, binary.LittleEndian, h.Bias)
		}},
	})
	if err != nil {
		return File{}, err
	}
	if err := disk.CheckSpace(dir, l.Size()); err != nil {
		return File{}, err
	}
	var file bytes.Buffer
	if err := l.Write(ctx, &file); err != nil {
		return File{}, err
	}
	sum, err := disk.HashReader(ctx, bytes.NewReader(file.Bytes()), nil)
	if err != nil {
		return File{}, err
	}
	to := File{fmt.Sprintf("exit-%d.%.12s.gguf", h.Exit, sum), sum, l.Size()}
	return to, disk.PlaceFile(dir, to.Name, func(f *os.File) error {
		_, err := f.Write(file.Bytes())
		return err
	})
}

func halves(v []float32) []uint16 {
	h := make([]uint16, len(v))
	for i, x := range v {
		h[i] = float16.Fromfloat32(x).Bits()
	}
	return h
}

// Read decodes a head's file and checks that it fits the model of that sha256, of that
// width and that many tokens.
func Read(f *gguf.File, source string, width, vocab int) (*Fitted, error) {
	kv, _ := f.KV(gguf.KeySource)
	if s, _ := kv.Text(); s != source {
		return nil, errors.New("it was fitted to another model")
	}
	exit, _ := f.KV(keyHeadExit)
	e, ok := exit.Uint32()
	if !ok {
		return nil, errors.New("it names no exit")
	}
	h := &Fitted{Exit: int(e)}
	n := int64(width)
	tr, okT := f.Tensor(tensorTranslator)
	bias, okB := f.Tensor(tensorBias)
	if !okT || !okB || tr.Type != gguf.F16 || bias.Type != gguf.F32 || !slices.Equal(tr.Dims, []int64{n, n}) || !slices.Equal(bias.Dims, []int64{n}) {
		return nil, fmt.Errorf("its translator is not of width %d", n)
	}
	half := make([]uint16, n*n)
	h.Translator, h.Bias = make([]float32, n*n), make([]float32, n)
	if err := binary.Read(f.Data(tr), binary.LittleEndian, half); err != nil {
		return nil, err
	}
	if err := binary.Read(f.Data(bias), binary.LittleEndian, h.Bias); err != nil {
		return nil, err
	}
	for i, x := range half {
		h.Translator[i] = float16.Frombits(x).Float32()
	}
	if !finite(h.Translator) || !finite(h.Bias) {
		return nil, errors.New("its translator is not finite")
	}
	ids, _ := f.KV(keyShortlist)
	for _, id := range ids.Int32s() {
		if id < 0 || int(id) >= vocab {
			return nil, fmt.Errorf("token %d is outside the vocabulary of %d", id, vocab)
		}
		h.Shortlist = append(h.Shortlist, id)
	}
	if len(h.Shortlist) == 0 {
		return nil, errors.New("its shortlist is empty")
	}
	return h, nil
}

func finite(v []float32) bool {
	for _, x := range v {
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			return false
		}
	}
	return true
}

// IsFile says whether a name is one that Write gives.
func IsFile(name string) bool {
	return strings.HasPrefix(name, "exit-") && strings.HasSuffix(name, ".gguf") && filepath.Base(name) == name
}
