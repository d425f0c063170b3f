package calibrate

import "skerry/appliance/bundle"

// garbage is how much of the memory in use, in percent, may be garbage besides: most of it are
// a few large arrays, which cost the collector nothing, and of which boards have room for few.
const garbage = 25

// FitBytes is about what fitting the exits of a bundle takes beside the whole model at most, in
// bytes: the larger of what reading, the fit and the report take, which come one after the
// other. It grows with the square of the model's width, and with the number of depths.
func FitBytes(b *bundle.Bundle, o Options) (int64, error) {
	lm, _, err := b.LMRows([]int32{0})
	if err != nil {
		return 0, err
	}
	o, m := o.withDefaults(), b.Manifest
	n, d, list := int64(len(depths(m))), int64(m.Embedding), int64(m.Vocab/2)
	square := 4 * d * d         // a translator
	position := 2 * (n + 1) * d // what is kept of one
	sums := n * 4 * square
	tuned := int64((1+max(len(o.Texts), packagedKinds))*o.tune) * position
	sampled := min(int64(o.Tokens)*position, sampleBytes)
	part := 2 * max(slots*(answer+1), partChars/2+docLimit*window) * position // once more while it is written
	head := square/2 + list*int64(len(lm))

	read := sums + tuned + sampled + part + 2*square + 4*chunkRows*d*(n+3)
	descent := 6*square + 5*4*stepTokens*d // Adam's, the gradient and their copies; the LM head's
	fit := sums + tuned + sampled + n*square + max(descent, 2*temperBytes+2*head+square)
	report := part + (n+1)*square + (n+1)*head + n*4*reportRows*(list+int64(m.Vocab))
	logits := int64(4 * 64 * m.Vocab)
	return (max(read, fit, report) + logits) * (100 + garbage) / 100, nil
}
