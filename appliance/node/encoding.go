package node

import (
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

// SessionOptions is how a mode sends to the cloud.
func SessionOptions(mode infer.Mode, bundle wire.Hash, m decode.Model) cloudlink.SessionOptions {
	o := cloudlink.SessionOptions{Bundle: bundle, Width: m.Exits[0].Stage.Width(), Context: m.Context, Exact: true}
	if m.Vocab != nil {
		o.Vocabulary = m.Vocab.Size()
	}
	up := decode.SpecOf(mode).Upload
	if m.SendsTokens() {
		o.Exact = false // it has no encoding to be exact about, and no bytes to be refused for
	}
	if up.Tokens || m.SendsTokens() {
		o.Tokens, o.Ends = true, endTokens(m.Vocab)
	}
	o.Durable = up.Repeats // it sends again what it has in memory
	if e, ok := wire.EncodingNamed(up.Encoding); ok {
		o.Exact, o.Encodings = false, []wire.DType{e.DType, wire.F32}
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

// SendAs has a session send hidden states in the encoding of that name, and in no other
// where it is not exact.
func SendAs(opt *cloudlink.SessionOptions, encoding string) {
	if e, ok := wire.EncodingNamed(encoding); ok && !e.Exact {
		opt.Exact, opt.Encodings = false, []wire.DType{e.DType}
	}
}
