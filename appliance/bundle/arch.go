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
	nQ           // key length times heads
	nK           // key length times KV heads
	nV           // value length times KV heads
	nHalfRot     // half the rotated dimensions
)

// architectures has those that were tried from end to end. To admit another,
// give its tensors here and the keys its graph depends on in hyper.go.
var architectures = map[string]arch{
	"llama": {
		global: map[string]shape{
			"token_embd.weight":         {dims: []dim{nEmbd, nVocab}},
			"output_norm.weight":        {dims: []dim{nEmbd}},
			"output.weight":             {dims: []dim{nEmbd, nVocab}, optional: true},
			"rope_freqs.weight":         {dims: []dim{nHalfRot}, optional: true},
			"rope_factors_long.weight":  {dims: []dim{nHalfRot}, optional: true},
			"rope_factors_short.weight": {dims: []dim{nHalfRot}, optional: true},
		},
		block: map[string]shape{
			"attn_norm.weight":   {dims: []dim{nEmbd}},
			"attn_q.weight":      {dims: []dim{nEmbd, nQ}},
			"attn_k.weight":      {dims: []dim{nEmbd, nK}},
			"attn_v.weight":      {dims: []dim{nEmbd, nV}},
			"attn_output.weight": {dims: []dim{nQ, nEmbd}},
			"attn_q.bias":        {dims: []dim{nQ}, optional: true},
			"attn_k.bias":        {dims: []dim{nK}, optional: true},
			"attn_v.bias":        {dims: []dim{nV}, optional: true},
			"attn_output.bias":   {dims: []dim{nEmbd}, optional: true},
			"ffn_norm.weight":    {dims: []dim{nEmbd}},
			"ffn_gate.weight":    {dims: []dim{nEmbd, nFF}},
			"ffn_up.weight":      {dims: []dim{nEmbd, nFF}},
			"ffn_down.weight":    {dims: []dim{nFF, nEmbd}},
			"ffn_gate.bias":      {dims: []dim{nFF}, optional: true},
			"ffn_up.bias":        {dims: []dim{nFF}, optional: true},
			"ffn_down.bias":      {dims: []dim{nEmbd}, optional: true},
		},
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
		return "", arch{}, fmt.Errorf("%s: architecture %q is %w: use a model of %s", f.Name, name, ErrUnsupported, strings.Join(Architectures(), ", "))
	}
	return name, a, nil
}
