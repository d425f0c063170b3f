package engine

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"skerry/appliance/bundle/gguf"
	"skerry/appliance/engine/gpu"
)

// Placement is where a stage's layers are.
type Placement struct {
	Blocks int   `json:"blocks"` // on the GPU, the last ones
	Head   bool  `json:"head"`   // is there too
	Bytes  int64 `json:"bytes"`  // that they take of its memory
	// Why says why there are fewer than were wanted; "" where there are not.
	Why string `json:"why,omitempty"`
}

// layers is how many there are, the head as one.
func (p Placement) layers() int {
	if p.Head {
		return p.Blocks + 1
	}
	return p.Blocks
}

// place decides how many layers of a stage go on the GPU, by what is free there.
func place(path string, o Options) (Placement, gpu.Sizes, error) {
	if o.GPULayers == 0 {
		return Placement{}, gpu.Sizes{}, nil
	}
	d := Device()
	if d.Name == "" {
		why := cmp.Or(d.Not, "there is no library of kernels for a GPU: install skerry-cuda where this machine has one")
		return Placement{Why: why}, gpu.Sizes{}, nil
	}
	sizes, err := layerSizes(path, o)
	if err != nil {
		return Placement{}, sizes, err
	}
	most := gpu.Layers(len(sizes.Blocks) + 1)
	if o.HeadOnCPU {
		most--
	}
	want := o.GPULayers
	if want < 0 || want > most {
		want = most
	}
	n := sizes.Fit(want, d.Free)
	p := placed(n, sizes)
	if n < int(want) {
		p.Why = fmt.Sprintf("%d of %d layers have room in the %d MB that are free of %s", n, want, d.Free/1e6, d.Name)
	}
	return p, sizes, nil
}

// SequencesThatFit is for how many sequences of so many positions, at most most, the KV cache and
// all layers of a stage have room in so many bytes of a GPU; 0 for none, and for a file that
// cannot be read.
func SequencesThatFit(path string, o Options, positions int, free int64, most int) int {
	o.Sequences, o.Context = 1, positions
	sizes, err := layerSizes(path, o.withDefaults())
	if err != nil {
		return 0
	}
	one := sizes.KV
	for n := most; n > 0; n-- {
		if sizes.KV = one * int64(n); sizes.Fit(gpu.All, free) > len(sizes.Blocks) {
			return n
		}
	}
	return 0
}

func placed(layers int, s gpu.Sizes) Placement {
	return Placement{Blocks: min(layers, len(s.Blocks)), Head: layers > len(s.Blocks), Bytes: s.Take(layers)}
}

// layerSizes reads what the layers of a GGUF take, with the KV cache of the options.
func layerSizes(path string, o Options) (s gpu.Sizes, err error) {
	f, err := gguf.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	kv, _ := f.KV("general.architecture")
	architecture, _ := kv.Text()
	number := func(key string) int64 {
		kv, _ := f.KV(architecture + "." + key)
		n, _ := kv.Uint32()
		return int64(n)
	}
	s.Blocks = make([]int64, number("block_count"))
	var head, embedding int64
	for _, t := range f.Tensors {
		if rest, ok := strings.CutPrefix(t.Name, "blk."); ok {
			name, _, _ := strings.Cut(rest, ".")
			if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(s.Blocks) {
				s.Blocks[i] += t.Size
			}
			continue
		}
		switch {
		case t.Name == "token_embd.weight":
			embedding = t.Size
		case strings.HasPrefix(t.Name, "output"):
			head += t.Size
		}
	}
	s.Head = head
	if _, own := f.Tensor("output.weight"); !own { // it is the embedding's, of which there are two then
		s.Head += embedding
	}
	heads, width := max(number("attention.head_count"), 1), number("embedding_length")
	elements := o.cells() * 2 * cmp.Or(number("attention.head_count_kv"), heads) * cmp.Or(number("attention.key_length"), width/heads)
	s.KV = elements * 2
	switch o.KV {
	case KVF32:
		s.KV = elements * 4
	case KVQ8:
		s.KV = elements * 34 / 32
	}
	// A batch's rows, twice as wide as the feed-forward network and some hidden states beside,
	// and for each position of the KV cache what masks it, or the scores of each head.
	positions := o.cells() / int64(o.Sequences)
	s.Scratch = int64(o.Rows) * (4*(2*number("feed_forward_length")+8*width) + 6*positions)
	if o.NoFlashAttention {
		s.Scratch += int64(o.Rows) * 8 * heads * positions
	}
	if e, ok := f.Tensor("token_embd.weight"); ok {
		s.Logits = 4 * int64(o.Rows) * e.Rows()
	}
	return s, nil
}
