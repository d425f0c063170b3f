package bundle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Shape is the size of a model of architecture llama.
type Shape struct {
	Blocks      int
	Embedding   int
	Heads       int
	KVHeads     int
	FeedForward int
	Vocab       int
	Context     int // tokens
	Tied        bool
	RopeBase    float32
}

// shapes are those of models people run on boards, and a tiny one for tests.
var shapes = map[string]Shape{
	"tiny":           {6, 64, 4, 2, 128, 512, 512, true, 10000},
	"tiny-untied":    {6, 64, 4, 2, 128, 512, 512, false, 10000},
	"smollm2-135m":   {30, 576, 9, 3, 1536, 49152, 8192, true, 100000},
	"llama-3.2-1b":   {16, 2048, 32, 8, 8192, 128256, 131072, true, 500000},
	"tinyllama-1.1b": {22, 2048, 32, 4, 5632, 32000, 2048, false, 10000},
}

// Shapes lists the names Synth takes.
func Shapes() []string { return slices.Sorted(maps.Keys(shapes)) }

// ShapeNamed finds a shape.
func ShapeNamed(name string) (Shape, error) {
	s, ok := shapes[name]
	if !ok {
		return Shape{}, fmt.Errorf("shape %q is not known: use one of %s", short(name), strings.Join(Shapes(), ", "))
	}
	return s, nil
}
