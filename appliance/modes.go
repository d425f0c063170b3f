package main

import (
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

// sessionOptions is how a mode sends to the cloud: token ids to a whole model, the
// paper's half precision, or float32.
func sessionOptions(mode decode.Mode, bundle wire.Hash, m decode.Model) cloudlink.SessionOptions {
	o := cloudlink.SessionOptions{Bundle: bundle, Width: m.Exits[0].Stage.Width(), Context: m.Context, Exact: true}
	switch mode {
	case decode.CloudOnly:
		o.Tokens, o.Ends = true, endTokens(m.Vocab)
	case decode.Naive: // sends again what it has in memory
		o.Durable = true
	case decode.Paper:
		o.Exact, o.Encodings = false, []wire.DType{wire.F16, wire.F32}
	}
	return o
}

// endTokens are the tokens that end an answer.
func endTokens(v *engine.Vocab) (ids []int32) {
	for id := range int32(v.Size()) {
		if v.End(id) {
			ids = append(ids, id)
		}
	}
	return ids
}
