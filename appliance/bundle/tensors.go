package bundle

import "maps"

// OutputBias is what a draft may add to its logits.
const OutputBias = "output.bias"

// The tensors of the architectures, in the groups that several of them have.
var (
	vocabTensors = map[string]shape{
		"token_embd.weight":  {dims: []dim{nEmbd, nVocab}},
		"output_norm.weight": {dims: []dim{nEmbd}},
		"output.weight":      {dims: []dim{nEmbd, nVocab}, optional: true},
	}
	longRope = map[string]shape{
		RopeLong:  {dims: []dim{nHalfRot}, optional: true},
		RopeShort: {dims: []dim{nHalfRot}, optional: true},
	}
	attention = map[string]shape{
		"attn_norm.weight":   {dims: []dim{nEmbd}},
		"attn_q.weight":      {dims: []dim{nEmbd, nQ}},
		"attn_k.weight":      {dims: []dim{nEmbd, nK}},
		"attn_v.weight":      {dims: []dim{nEmbd, nV}},
		"attn_output.weight": {dims: []dim{nQ, nEmbd}},
	}
	inputBiases = map[string]shape{
		"attn_q.bias": {dims: []dim{nQ}, optional: true},
		"attn_k.bias": {dims: []dim{nK}, optional: true},
		"attn_v.bias": {dims: []dim{nV}, optional: true},
	}
	outputBiases = map[string]shape{
		"attn_output.bias": {dims: []dim{nEmbd}, optional: true},
		"ffn_gate.bias":    {dims: []dim{nFF}, optional: true},
		"ffn_up.bias":      {dims: []dim{nFF}, optional: true},
		"ffn_down.bias":    {dims: []dim{nEmbd}, optional: true},
	}
	feedForward = map[string]shape{
		"ffn_norm.weight": {dims: []dim{nEmbd}},
		"ffn_gate.weight": {dims: []dim{nEmbd, nFF}},
		"ffn_up.weight":   {dims: []dim{nEmbd, nFF}},
		"ffn_down.weight": {dims: []dim{nFF, nEmbd}},
	}
	headNorms = map[string]shape{
		"attn_q_norm.weight": {dims: []dim{nHead}},
		"attn_k_norm.weight": {dims: []dim{nHead}},
	}
	postNorms = map[string]shape{
		"post_attention_norm.weight": {dims: []dim{nEmbd}},
		"post_ffw_norm.weight":       {dims: []dim{nEmbd}},
	}
	// fused is a block with its projections joined by input.
	fused = map[string]shape{
		"attn_norm.weight":   {dims: []dim{nEmbd}},
		"attn_qkv.weight":    {dims: []dim{nEmbd, nQKV}},
		"attn_output.weight": {dims: []dim{nQ, nEmbd}},
		"ffn_norm.weight":    {dims: []dim{nEmbd}},
		"ffn_up.weight":      {dims: []dim{nEmbd, nGateUp}},
		"ffn_down.weight":    {dims: []dim{nFF, nEmbd}},
	}
)

func optional(name string, dims ...dim) map[string]shape {
	return map[string]shape{name: {dims: dims, optional: true}}
}

func join(groups ...map[string]shape) map[string]shape {
	all := map[string]shape{}
	for _, g := range groups {
		maps.Copy(all, g)
	}
	return all
}
