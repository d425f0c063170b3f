package decode

import (
	"fmt"
	"io"

	"skerry/appliance/bundle/gguf"
	"skerry/appliance/engine"
)

// Head says which exit head was timed.
type Head struct {
	// Kind is "shortlist": norm, an n_embd squared translator and an LM head over
	// the first Rows tokens, which is what a fitted exit costs, here without
	// having been fitted; or "vocabulary": the model's own norm and LM head.
	Kind       string `json:"kind"`
	Rows       int    `json:"rows"`
	Translator bool   `json:"translator"`
}

// Kinds of head.
const (
	Shortlist  = "shortlist"
	Vocabulary = "vocabulary"
)

// newHead makes a head of the kind over norm's blocks with lm's LM head, which
// lies in the GGUF at path. Speed does not depend on the translator's values, so
// it is the identity.
func newHead(kind string, norm, lm *engine.Stage, path string, rows int, o Options) (*engine.Head, Head, error) {
	opt := engine.HeadOptions{Norm: norm, LM: lm, Threads: o.Threads, Poll: o.Poll}
	d := Head{Kind: kind, Rows: lm.VocabSize()}
	if kind == Shortlist {
		d.Rows, d.Translator = min(rows, lm.VocabSize()), true
		var err error
		if opt.ShortlistRows, err = firstRows(path, d.Rows); err != nil {
			return nil, d, err
		}
		opt.Shortlist = make([]int32, d.Rows)
		for i := range opt.Shortlist {
			opt.Shortlist[i] = int32(i)
		}
		w := norm.Width()
		opt.Translator = make([]float32, w*w)
		for i := range w {
			opt.Translator[i*w+i] = 1
		}
	}
	h, err := engine.NewHead(opt)
	return h, d, err
}

// headTensor is the LM head of a model, its embedding where the two are tied.
func headTensor(f *gguf.File) (gguf.Tensor, bool) {
	if t, ok := f.Tensor("output.weight"); ok {
		return t, true
	}
	return f.Tensor("token_embd.weight")
}

// firstRows reads the first n rows of the LM head in the GGUF at path.
func firstRows(path string, n int) ([]byte, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, ok := headTensor(f)
	if !ok || t.Rows() < int64(n) {
		return nil, fmt.Errorf("%s: it has no LM head of %d rows", path, n)
	}
	b := make([]byte, t.Size/t.Rows()*int64(n))
	_, err = io.ReadFull(f.Data(t), b)
	return b, err
}

// touched is the bytes of weights that one pass of the model at path reads: all
// but an embedding that is only looked up.
func touched(path string) (int64, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	_, untied := f.Tensor("output.weight")
	var n int64
	for _, t := range f.Tensors {
		if untied && t.Name == "token_embd.weight" {
			continue
		}
		n += t.Size
	}
	return n, nil
}
