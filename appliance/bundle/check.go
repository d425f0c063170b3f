package bundle

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"
)

// Model is what a checked GGUF file says of itself.
type Model struct {
	Architecture  string
	Blocks        int
	Embedding     int // width of the hidden state
	FeedForward   int
	Heads         int
	KVHeads       int
	Vocab         int
	ContextLength int
	Tied          bool // the embedding is the LM head too
	// Period is after how many blocks the graph repeats: the blocks of a stage
	// are counted from 0 again, so it may begin only at a multiple.
	Period int

	head, rotated uint32 // key length; dimensions of it that rope turns
	window        bool   // blocks attend to a sliding window, but for one in a period
	LongRope      bool   // rope factors by context, see longrope.go
	dims          map[dim]int64
}

// Check reads the header of the GGUF file at path and compares hyperparameters,
// tokenizer and tensors with one another. The error is one line that names the
// file and what to do; it wraps gguf.ErrFormat, ErrUnsupported or the file
// system's error where one of these is the cause.
func Check(path string) (*Model, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, disk.OpenError(path, err)
	}
	defer f.Close()
	return CheckFile(f)
}

func CheckFile(f *gguf.File) (*Model, error) {
	if err := whole(f); err != nil {
		return nil, err
	}
	return checkContent(f, false)
}

// CheckDraft is CheckFile for a model that drafts.
func CheckDraft(f *gguf.File) (*Model, error) {
	if err := whole(f); err != nil {
		return nil, err
	}
	return checkContent(f, true)
}

// checkContent checks a whole model or a slice, or a whole model that drafts.
func checkContent(f *gguf.File, draft bool) (*Model, error) {
	name, a, err := findArch(f)
	if err != nil {
		return nil, err
	}
	if draft {
		a.global = join(a.global, a.draft)
	}
	m, err := hyper(f, name, a.hyper)
	if err != nil {
		return nil, err
	}
	if f.Alignment%32 != 0 {
		return nil, fmt.Errorf("%s: its tensors are aligned to %d bytes, 32 are needed: convert the model anew", f.Name, f.Alignment)
	}
	if m.Vocab, err = checkVocab(f, name); err != nil {
		return nil, err
	}
	m.dims[nVocab] = int64(m.Vocab)
	if err := m.checkTensors(f, a); err != nil {
		return nil, err
	}
	if err := m.checkLongRope(f); err != nil {
		return nil, err
	}
	_, untied := f.Tensor("output.weight")
	m.Tied = !untied
	return m, nil
}

// checkTensors wants each tensor known, of the right shape and of a type ggml
// computes with, and each block complete.
func (m *Model) checkTensors(f *gguf.File, a arch) error {
	have := make([]map[string]bool, m.Blocks)
	for i := range have {
		have[i] = map[string]bool{}
	}
	for _, t := range f.Tensors {
		block, rest, err := BlockOf(t.Name)
		if err != nil || block >= m.Blocks {
			return fmt.Errorf("%s: tensor %s does not belong to any of the model's %d blocks: the file is corrupt", f.Name, t.Name, m.Blocks)
		}
		known := a.global
		if block >= 0 {
			known = a.block
			have[block][rest] = true
		}
		want, ok := known[rest]
		if !ok {
			return fmt.Errorf("%s: tensor %s is not part of architecture %s: this variant is %w", f.Name, t.Name, m.Architecture, ErrUnsupported)
		}
		if err := m.checkTensor(f, t, want); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.global)) {
		if _, ok := f.Tensor(name); !ok && !a.global[name].optional {
			return fmt.Errorf("%s: tensor %s is missing: the model is incomplete, get another copy", f.Name, name)
		}
	}
	for i := range have {
		for _, name := range slices.Sorted(maps.Keys(a.block)) {
			if !have[i][name] && !a.block[name].optional {
				return fmt.Errorf("%s: tensor blk.%d.%s is missing though the model claims %d blocks: get another copy", f.Name, i, name, m.Blocks)
			}
		}
	}
	return nil
}

func (m *Model) checkTensor(f *gguf.File, t gguf.Tensor, want shape) error {
	var dims []int64
	for _, d := range want.dims {
		dims = append(dims, m.dims[d])
	}
	if !slices.Equal(dims, t.Dims) {
		return fmt.Errorf("%s: tensor %s has shape %v, the metadata want %v: the file is corrupt", f.Name, t.Name, t.Dims, dims)
	}
	if len(dims) == 1 && t.Type != gguf.F32 {
		return fmt.Errorf("%s: tensor %s is of type %v, f32 is needed: convert the model anew", f.Name, t.Name, t.Type)
	}
	if !t.Type.Matmul() {
		return fmt.Errorf("%s: tensor %s is of type %v, which cannot be computed with: convert the model anew", f.Name, t.Name, t.Type)
	}
	return nil
}

// BlockOf splits blk.7.attn_q.weight into 7 and attn_q.weight; names outside of
// blocks give -1 and themselves.
func BlockOf(name string) (int, string, error) {
	after, ok := strings.CutPrefix(name, "blk.")
	if !ok {
		return -1, name, nil
	}
	digits, rest, _ := strings.Cut(after, ".")
	n, err := strconv.Atoi(digits)
	if err != nil || strconv.Itoa(n) != digits || n < 0 {
		return 0, "", fmt.Errorf("no block number in %s", name)
	}
	return n, rest, nil
}
