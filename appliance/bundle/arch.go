package bundle

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"skerry/appliance/bundle/gguf"
)

// ErrUnsupported is wrapped by errors about a sound model of a kind that is
// not admitted.
var ErrUnsupported = errors.New("not supported")

// arch says how the files of one architecture have to look.
type arch struct {
	// global are the tensors outside of blocks; block those in each block.
	// A shape is made of hyperparameters, columns first.
	global map[string]shape
	block  map[string]shape
	// draft are more tensors outside of blocks, which a model that drafts may have: it is not
	// cut into stages, and its LM head is its own alone.
	draft map[string]shape
	// hyper checks the keys that only this architecture's graph depends on, and
	// sets Model.Period where blocks depend on their place in the model.
	hyper func(k *keys, m *Model)
}

type shape struct {
	dims     []dim
	optional bool
}

type dim int

const (
	nEmbd    dim = iota
	nVocab       // rows of the embedding
	nFF          // width of the feed-forward network
	nGateUp      // gate and up projection in one
	nHead        // key length
	nQ           // key length times heads
	nK           // key length times KV heads
	nV           // value length times KV heads
	nQKV         // the three in one
	nHalfRot     // half the rotated dimensions
)

// architectures has those that were tried from end to end. To admit another,
// give its tensors in tensors.go and the keys its graph depends on in
// archkeys.go, and add a tiny shape of it, which the tests pick up.
var architectures = map[string]arch{
	"llama": {
		global: join(vocabTensors, longRope, optional("rope_freqs.weight", nHalfRot)),
		block:  join(attention, feedForward, inputBiases, outputBiases),
		hyper:  llamaKeys,
	},
	"qwen2": {
		global: vocabTensors,
		block:  join(attention, feedForward, inputBiases),
		draft:  optional(OutputBias, nVocab),
		hyper:  qwen2Keys,
	},
	"qwen3": {
		global: vocabTensors,
		block:  join(attention, feedForward, headNorms),
		hyper:  qwen3Keys,
	},
	"gemma3": {
		global: vocabTensors,
		block:  join(attention, feedForward, headNorms, postNorms),
		hyper:  gemma3Keys,
	},
	"phi3": {
		global: join(vocabTensors, longRope),
		block:  fused,
		hyper:  phi3Keys,
	},
	"smollm3": {
		global: vocabTensors,
		block:  join(attention, feedForward),
		hyper:  smollm3Keys,
	},
}

// Architectures lists the supported ones by GGUF name.
func Architectures() []string {
	return slices.Sorted(maps.Keys(architectures))
}

func findArch(f *gguf.File) (string, arch, error) {
	kv, _ := f.KV("general.architecture")
	name, ok := kv.Text()
	if !ok {
		return "", arch{}, fmt.Errorf("%s: general.architecture is missing: this is not a language model", f.Name)
	}
	a, ok := architectures[name]
	if !ok {
		return "", arch{}, fmt.Errorf("%s: architecture %q is %w: use a model of %s", f.Name, gguf.Short(name), ErrUnsupported, strings.Join(Architectures(), ", "))
	}
	return name, a, nil
}
