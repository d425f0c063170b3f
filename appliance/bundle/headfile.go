package bundle

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/x448/float16"

	"skerry/appliance/bundle/gguf"
)

// The kinds of exit heads.
const (
	HeadModel  = "model"  // the model's own norm and LM head
	HeadFitted = "fitted" // norm, fitted translator and bias, LM head over a shortlist
)

// FittedHead is what calibration adds to the model's own norm and LM head: the
// logits of an exit are LM[Shortlist] · (Translator · norm(h) + Bias).
type FittedHead struct {
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

// write stores the head in dir under a name of its own, so that a file the old
// manifest names is never overwritten, and fills in its place in the manifest.
func (h *FittedHead) write(ctx context.Context, dir, source string, m *Head) error {
	n := int64(len(h.Bias))
	l, err := gguf.Plan([]gguf.KV{
		gguf.StringKV("general.architecture", headArchitecture),
		gguf.StringKV(keySource, source),
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
		return err
	}
	if err := checkSpace(dir, l.Size()); err != nil {
		return err
	}
	var file bytes.Buffer
	if err := l.Write(ctx, &file); err != nil {
		return err
	}
	sum, err := hashReader(ctx, bytes.NewReader(file.Bytes()), nil)
	if err != nil {
		return err
	}
	m.Exit, m.Kind, m.SHA256, m.Bytes, m.Shortlist = h.Exit, HeadFitted, sum, l.Size(), len(h.Shortlist)
	m.File = fmt.Sprintf("exit-%d.%.12s.gguf", h.Exit, sum)
	return placeFile(dir, m.File, func(f *os.File) error {
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

// FittedHead reads the fitted head of an exit, nil where the exit uses the
// model's own. Errors wrap ErrMissing, ErrCorrupt or ErrForeign.
func (b *Bundle) FittedHead(ctx context.Context, exit int) (*FittedHead, error) {
	i := slices.IndexFunc(b.Manifest.Heads, func(h Head) bool { return h.Exit == exit })
	if i < 0 || b.Manifest.Heads[i].Kind != HeadFitted {
		return nil, nil
	}
	m := b.Manifest.Heads[i]
	path := filepath.Join(b.Dir, m.File)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is %w: copy it there or calibrate the bundle again", path, ErrMissing)
	}
	if err != nil {
		return nil, err
	}
	sum := ""
	if info.Mode().IsRegular() && info.Size() == m.Bytes {
		if sum, err = hashFile(ctx, path); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if sum != m.SHA256 {
		return nil, fmt.Errorf("%s is %w: its sha256 is not the manifest's: copy it anew or calibrate the bundle again", path, ErrCorrupt)
	}
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h, err := b.Manifest.readHead(f)
	if err != nil {
		return nil, err
	}
	if h.Exit != exit || len(h.Shortlist) != m.Shortlist {
		return nil, fmt.Errorf("%s is %w: it is the head of exit %d", path, ErrForeign, h.Exit)
	}
	return h, nil
}

// readHead decodes a head's file and checks that it fits the bundle.
func (m *Manifest) readHead(f *gguf.File) (*FittedHead, error) {
	bad := func(what string) (*FittedHead, error) {
		return nil, fmt.Errorf("%s is %w: %s: calibrate the bundle again", f.Name, ErrForeign, what)
	}
	source, _ := f.KV(keySource)
	if s, _ := source.Text(); s != m.Source.SHA256 {
		return bad("it was fitted to another model")
	}
	exit, _ := f.KV(keyHeadExit)
	e, ok := exit.Uint32()
	if !ok {
		return bad("it names no exit")
	}
	h := &FittedHead{Exit: int(e)}
	n := int64(m.Embedding)
	tr, okT := f.Tensor(tensorTranslator)
	bias, okB := f.Tensor(tensorBias)
	if !okT || !okB || tr.Type != gguf.F16 || bias.Type != gguf.F32 || !slices.Equal(tr.Dims, []int64{n, n}) || !slices.Equal(bias.Dims, []int64{n}) {
		return bad(fmt.Sprintf("its translator is not of width %d", n))
	}
	half := make([]uint16, n*n)
	h.Translator, h.Bias = make([]float32, n*n), make([]float32, n)
	if err := binary.Read(f.Data(tr), binary.LittleEndian, half); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	if err := binary.Read(f.Data(bias), binary.LittleEndian, h.Bias); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	for i, x := range half {
		h.Translator[i] = float16.Frombits(x).Float32()
	}
	if !finite(h.Translator) || !finite(h.Bias) {
		return bad("its translator is not finite")
	}
	ids, _ := f.KV(keyShortlist)
	for _, id := range ids.Int32s() {
		if id < 0 || int(id) >= m.Vocab {
			return bad(fmt.Sprintf("token %d is outside the vocabulary of %d", id, m.Vocab))
		}
		h.Shortlist = append(h.Shortlist, id)
	}
	if len(h.Shortlist) == 0 {
		return bad("its shortlist is empty")
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

// LMRows reads rows of the model's LM head from board-1 as they lie there, in
// the type they have in it, in the order of ids.
func (b *Bundle) LMRows(ids []int32) (rows []byte, ty gguf.Type, err error) {
	f, err := gguf.Open(b.Path(Board1))
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	t, ok := f.Tensor("output.weight")
	if !ok {
		t, ok = f.Tensor("token_embd.weight")
	}
	if !ok {
		return nil, 0, fmt.Errorf("%s has no LM head: split the model again", f.Name)
	}
	row := t.Size / t.Rows()
	rows = make([]byte, int64(len(ids))*row)
	for i, id := range ids {
		if _, err := f.ReadAt(rows[int64(i)*row:int64(i+1)*row], t.Offset+int64(id)*row); err != nil {
			return nil, 0, fmt.Errorf("%s: row %d of the LM head: %w", f.Name, id, err)
		}
	}
	return rows, t.Type, nil
}

// headFile says whether a name is one that write gives.
func headFile(name string) bool {
	return strings.HasPrefix(name, "exit-") && strings.HasSuffix(name, ".gguf") && filepath.Base(name) == name
}
