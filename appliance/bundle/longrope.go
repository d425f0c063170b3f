package bundle

import (
	"fmt"

	"skerry/appliance/bundle/gguf"
)

// Models for long contexts may have two sets of rope factors. llama.cpp takes
// the long ones where the KV cache is larger than the original context, and a
// cloud's, which many sessions share, is larger than a board's: the two would
// compute different models. A bundle therefore has the short factors in both
// places, and the original context as its own.
const (
	RopeLong  = "rope_factors_long.weight"
	RopeShort = "rope_factors_short.weight"

	keyOriginal = "rope.scaling.original_context_length"
)

// checkLongRope wants both sets or none, and limits the context to what the
// short one is for.
func (m *Model) checkLongRope(f *gguf.File) error {
	_, long := f.Tensor(RopeLong)
	_, short := f.Tensor(RopeShort)
	if long != short {
		return fmt.Errorf("%s: it has one of %s and %s, both are needed: get another copy", f.Name, RopeShort, RopeLong)
	}
	m.LongRope = m.LongRope && long
	if kv, ok := f.KV(m.Architecture + "." + keyOriginal); ok && m.LongRope {
		if n, ok := kv.Uint32(); ok {
			m.ContextLength = min(m.ContextLength, int(n))
		}
	}
	return nil
}
