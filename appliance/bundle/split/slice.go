package split

import (
	"context"
	"fmt"
	"io"
	"strings"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/gguf"
)

// slicer turns a checked source into plans of stage files.
type slicer struct {
	f    *gguf.File
	m    *bundle.Model
	sha  string // of the source
	want string // Options.Type
	q    Quantizer
}

// plan lays out the file of a stage.
func (s *slicer) plan(st bundle.Stage) (*gguf.Layout, error) {
	l, err := gguf.Plan(s.kvs(st), s.tensors(st))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", st.File, err)
	}
	return l, nil
}

// converts tells whether any tensor of the source gets another type.
func (s *slicer) converts() bool {
	for _, t := range s.f.Tensors {
		if target(s.want, t) != t.Type {
			return true
		}
	}
	return false
}

// kvs keeps the source's metadata but for what the slice makes untrue.
func (s *slicer) kvs(st bundle.Stage) []gguf.KV {
	arch := s.m.Architecture
	base := gguf.Float32KV(arch+".rope.freq_base", bundle.RopeBase)
	var kvs []gguf.KV
	for _, kv := range s.f.KVs {
		switch {
		case strings.HasPrefix(kv.Key, "skerry."), strings.HasPrefix(kv.Key, "split."),
			kv.Key == "general.alignment",
			kv.Key == "general.file_type" && s.converts():
			continue
		case kv.Key == arch+".block_count":
			kv = gguf.Uint32KV(kv.Key, uint32(st.To-st.From))
		case kv.Key == arch+".context_length":
			kv = gguf.Uint32KV(kv.Key, uint32(s.m.ContextLength))
		case kv.Key == base.Key:
			base = kv
			continue
		case st.Role == bundle.Board2 && (strings.HasPrefix(kv.Key, "tokenizer.") || kv.Key == arch+".vocab_size"):
			continue
		}
		kvs = append(kvs, kv)
	}
	// Without it a slice may get another default than the whole model.
	kvs = append(kvs, base)
	if st.Role == bundle.Board2 {
		kvs = append(kvs, gguf.StringKV(gguf.KeyTokenizer, bundle.NoVocab), gguf.Uint32KV(arch+".vocab_size", bundle.DummyVocab))
	}
	return append(kvs,
		gguf.StringKV(gguf.KeyRole, string(st.Role)),
		gguf.Uint32KV(gguf.KeyFrom, uint32(st.From)),
		gguf.Uint32KV(gguf.KeyTo, uint32(st.To)),
		gguf.StringKV(gguf.KeySource, s.sha))
}

func (s *slicer) tensors(st bundle.Stage) []gguf.Out {
	var outs []gguf.Out
	for _, t := range s.f.Tensors {
		if name, ok := s.place(t, st); ok {
			outs = append(outs, s.out(t, name))
		}
		if st.Role == bundle.Board2 && t.Name == "token_embd.weight" {
			outs = append(outs, dummyEmbedding(s.m.Embedding))
		}
	}
	return outs
}

// place decides whether a stage has a tensor, and by which name.
func (s *slicer) place(t gguf.Tensor, st bundle.Stage) (string, bool) {
	block, rest, err := bundle.BlockOf(t.Name)
	switch {
	case err != nil:
		return "", false
	case block >= 0:
		return fmt.Sprintf("blk.%d.%s", block-st.From, rest), st.From <= block && block < st.To
	case t.Name == "token_embd.weight":
		return t.Name, st.Role == bundle.Board1 || st.Role == bundle.Unsplit || st.Role == bundle.Cloud && s.m.Tied
	case t.Name == "output.weight" && st.Role == bundle.Cloud:
		// It never embeds a token, so its embedding can be the LM head.
		return "token_embd.weight", true
	case t.Name == "output.weight":
		return t.Name, st.Role != bundle.Board2
	}
	return t.Name, true
}

func (s *slicer) out(t gguf.Tensor, name string) gguf.Out {
	to := target(s.want, t)
	o := gguf.Out{Name: name, Type: to, Dims: t.Dims, Data: copyTensor(s.f, s.pinned(t))}
	if to != t.Type {
		o.Data = convertTensor(s.f, t, to, s.q)
	}
	return o
}

// dummyEmbedding is what llama.cpp needs to load a stage that never sees a
// token.
func dummyEmbedding(embd int) gguf.Out {
	return gguf.Out{Name: "token_embd.weight", Type: gguf.F16, Dims: []int64{int64(embd), bundle.DummyVocab},
		Data: func(_ context.Context, w io.Writer) error {
			_, err := w.Write(make([]byte, 2*embd*bundle.DummyVocab))
			return err
		}}
}

// histogram counts tensors by type as they are stored for Options.Type want.
func histogram(f *gguf.File, want string) map[string]int {
	h := map[string]int{}
	for _, t := range f.Tensors {
		h[target(want, t).String()]++
	}
	return h
}

// pins tells whether the stages, the unsplit one too, differ from the source in
// their rope factors.
func (s *slicer) pins() bool { return s.m.LongRope }

// pinned is the tensor whose data stand for t's.
func (s *slicer) pinned(t gguf.Tensor) gguf.Tensor {
	if s.pins() && t.Name == bundle.RopeLong {
		t, _ = s.f.Tensor(bundle.RopeShort)
	}
	return t
}
