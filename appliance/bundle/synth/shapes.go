package synth

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"skerry/appliance/bundle/gguf"
)

// Shape is the size of a model.
type Shape struct {
	Architecture string // by GGUF name
	Blocks       int
	Embedding    int
	Heads        int
	KVHeads      int
	HeadLength   int // Embedding/Heads if 0
	FeedForward  int
	Vocab        int
	Context      int // tokens
	Original     int // tokens the short rope factors are for; 0 for no factors
	Window       int // sliding window, tokens; 0 for none
	Tied         bool
	RopeFactors  bool // one set of them, as Llama 3's
	Vision       bool // it has the control tokens of a model that sees images, as SmolVLM
	RopeBase     float32
}

// shapes are those of models people run on boards, and for each architecture a
// tiny one for tests, whose context, window and original context are short
// enough to be passed in them.
var shapes = map[string]Shape{
	"tiny":         {Architecture: "llama", Blocks: 6, Embedding: 64, Heads: 4, KVHeads: 2, FeedForward: 128, Vocab: 512, Context: 512, Tied: true, RopeBase: 10000},
	"tiny-wide":    {Architecture: "llama", Blocks: 2, Embedding: 256, Heads: 4, KVHeads: 2, FeedForward: 512, Vocab: 512, Context: 512, Tied: true, RopeBase: 10000},
	"tiny-untied":  {Architecture: "llama", Blocks: 6, Embedding: 64, Heads: 4, KVHeads: 2, FeedForward: 128, Vocab: 512, Context: 512, RopeBase: 10000},
	"tiny-llama3":  {Architecture: "llama", Blocks: 6, Embedding: 64, Heads: 4, KVHeads: 2, FeedForward: 128, Vocab: 512, Context: 512, Tied: true, RopeFactors: true, RopeBase: 500000},
	"tiny-vision":  {Architecture: "llama", Blocks: 6, Embedding: 64, Heads: 4, KVHeads: 2, FeedForward: 128, Vocab: 512, Context: 512, Tied: true, Vision: true, RopeBase: 10000},
	"tiny-qwen2":   {Architecture: "qwen2", Blocks: 6, Embedding: 64, Heads: 4, KVHeads: 2, FeedForward: 128, Vocab: 512, Context: 512, RopeBase: 1e6},
	"tiny-qwen3":   {Architecture: "qwen3", Blocks: 6, Embedding: 64, Heads: 4, KVHeads: 2, HeadLength: 32, FeedForward: 128, Vocab: 512, Context: 512, Tied: true, RopeBase: 1e6},
	"tiny-gemma3":  {Architecture: "gemma3", Blocks: 20, Embedding: 64, Heads: 4, KVHeads: 1, HeadLength: 32, FeedForward: 128, Vocab: 512, Context: 512, Window: 24, Tied: true, RopeBase: 1e6},
	"tiny-phi3":    {Architecture: "phi3", Blocks: 6, Embedding: 64, Heads: 4, KVHeads: 2, FeedForward: 128, Vocab: 512, Context: 512, Original: 256, Window: 24, RopeBase: 10000},
	"tiny-smollm3": {Architecture: "smollm3", Blocks: 14, Embedding: 64, Heads: 4, KVHeads: 2, FeedForward: 128, Vocab: 512, Context: 512, Tied: true, RopeBase: 5e6},

	"smollm2-135m":   {Architecture: "llama", Blocks: 30, Embedding: 576, Heads: 9, KVHeads: 3, FeedForward: 1536, Vocab: 49152, Context: 8192, Tied: true, RopeBase: 100000},
	"llama-3.2-1b":   {Architecture: "llama", Blocks: 16, Embedding: 2048, Heads: 32, KVHeads: 8, FeedForward: 8192, Vocab: 128256, Context: 131072, Tied: true, RopeBase: 500000},
	"llama-3.2-3b":   {Architecture: "llama", Blocks: 28, Embedding: 3072, Heads: 24, KVHeads: 8, FeedForward: 8192, Vocab: 128256, Context: 131072, Tied: true, RopeFactors: true, RopeBase: 500000},
	"tinyllama-1.1b": {Architecture: "llama", Blocks: 22, Embedding: 2048, Heads: 32, KVHeads: 4, FeedForward: 5632, Vocab: 32000, Context: 2048, RopeBase: 10000},
	"qwen2.5-0.5b":   {Architecture: "qwen2", Blocks: 24, Embedding: 896, Heads: 14, KVHeads: 2, FeedForward: 4864, Vocab: 151936, Context: 32768, Tied: true, RopeBase: 1e6},
	"qwen3-0.6b":     {Architecture: "qwen3", Blocks: 28, Embedding: 1024, Heads: 16, KVHeads: 8, HeadLength: 128, FeedForward: 3072, Vocab: 151936, Context: 40960, Tied: true, RopeBase: 1e6},
	"gemma3-270m":    {Architecture: "gemma3", Blocks: 18, Embedding: 640, Heads: 4, KVHeads: 1, HeadLength: 256, FeedForward: 2048, Vocab: 262144, Context: 32768, Window: 512, Tied: true, RopeBase: 1e6},
	"gemma3-1b":      {Architecture: "gemma3", Blocks: 26, Embedding: 1152, Heads: 4, KVHeads: 1, HeadLength: 256, FeedForward: 6912, Vocab: 262144, Context: 32768, Window: 512, Tied: true, RopeBase: 1e6},
	"phi3-mini":      {Architecture: "phi3", Blocks: 32, Embedding: 3072, Heads: 32, KVHeads: 32, FeedForward: 8192, Vocab: 32064, Context: 4096, Window: 2047, RopeBase: 10000},
	"smollm3-3b":     {Architecture: "smollm3", Blocks: 36, Embedding: 2048, Heads: 16, KVHeads: 4, FeedForward: 11008, Vocab: 128256, Context: 65536, Tied: true, RopeBase: 5e6},
}

// Shapes lists the names that Write takes.
func Shapes() []string { return slices.Sorted(maps.Keys(shapes)) }

// ShapeNamed finds a shape.
func ShapeNamed(name string) (Shape, error) {
	s, ok := shapes[name]
	if !ok {
		return Shape{}, fmt.Errorf("shape %q is not known: use one of %s", gguf.Short(name), strings.Join(Shapes(), ", "))
	}
	return s, nil
}

func (s Shape) headLength() int {
	if s.HeadLength > 0 {
		return s.HeadLength
	}
	return s.Embedding / s.Heads
}
