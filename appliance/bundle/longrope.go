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
	ropeLong  = "rope_factors_long.weight"
	ropeShort = "rope_factors_short.weight"

	keyOriginal = "rope.scaling.original_context_length"
)

// checkLongRope wants both sets or none, and limits the context to what the
// short one is for.
func (m *Model) checkLongRope(f *gguf.File) error {
	_, long := f.Tensor(ropeLong)
	_, short := f.Tensor(ropeShort)
	if long != short {
		return fmt.Errorf("%s: it has one of %s and %s, both are needed: get another copy", f.Name, ropeShort, ropeLong)
	}
	m.longRope = m.longRope && long
	if kv, ok := f.KV(m.Architecture + "." + keyOriginal); ok && m.longRope {
		if n, ok := kv.Uint32(); ok {
			m.ContextLength = min(m.ContextLength, int(n))
		}
	}
	return nil
}

// pins tells whether the stages, the unsplit one too, differ from the source in
// their rope factors.
func (s *slicer) pins() bool { return s.m.longRope }

// pinned is the tensor whose data stand for t's.
func (s *slicer) pinned(t gguf.Tensor) gguf.Tensor {
	if s.pins() && t.Name == ropeLong {
		t, _ = s.f.Tensor(ropeShort)
	}
	return t
}
