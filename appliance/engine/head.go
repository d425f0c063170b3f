package engine

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"slices"
	"sync"
	"unsafe"
)

// HeadOptions of an exit head of our own.
type HeadOptions struct {
	// Norm is the stage whose output norm is used; LM the one whose LM head is
	// shared. They may be the same. Nothing is copied.
	Norm, LM *Stage
	// Translator [n_embd][n_embd]float32, row by row of the output, is applied
	// to the normed hidden state before the LM head; nil for none. It computes
	// in float16. Bias [n_embd] is added to its result, nil for none.
	Translator, Bias []float32
	// Shortlist keeps only these tokens; nil keeps the vocabulary. The logits
	// then come in its order.
	Shortlist []int32
	// ShortlistRows are the shortlist's rows of the LM head, in order and in the
	// LM head's own type, as they lie in its GGUF.
	ShortlistRows []byte
	Threads, Poll int
}

// Head turns hidden states into logits by a small ggml graph: norm, optional
// translator, LM head. It computes on its own threads, one call at a time.
type Head struct {
	mu    sync.Mutex // guards c
	c     *C.struct_skerry_head
	norm  *model
	lm    *model
	width int
	vocab int
	short []int32
}

// NewHead makes an exit head. It fails where the LM head lies on a GPU.
func NewHead(o HeadOptions) (*Head, error) {
	width := o.Norm.Width()
	switch {
	case o.LM.Width() != width:
		return nil, fmt.Errorf("exit head: norm of width %d, LM head of width %d", width, o.LM.Width())
	case o.Translator != nil && len(o.Translator) != width*width:
		return nil, fmt.Errorf("exit head: translator of %d values, not %d squared", len(o.Translator), width)
	case o.Bias != nil && (o.Translator == nil || len(o.Bias) != width):
		return nil, fmt.Errorf("exit head: a bias of %d values goes with a translator and has %d", len(o.Bias), width)
	case (o.Shortlist == nil) != (o.ShortlistRows == nil):
		return nil, fmt.Errorf("exit head: a shortlist needs its rows of the LM head")
	}
	eps, err := o.Norm.m.normEpsilon()
	if err != nil {
		return nil, err
	}
	norm, _, err := o.Norm.headTensors()
	if err != nil {
		return nil, err
	}
	_, lm, err := o.LM.headTensors()
	if err != nil {
		return nil, err
	}
	if o.Shortlist != nil {
		row := int(C.skerry_row_size(C.int(lm._type), C.int64_t(width)))
		if len(o.ShortlistRows) != row*len(o.Shortlist) || len(o.Shortlist) == 0 {
			return nil, fmt.Errorf("exit head: %d bytes for a shortlist of %d rows of %d bytes", len(o.ShortlistRows), len(o.Shortlist), row)
		}
	}
	h := &Head{width: width, vocab: o.LM.VocabSize(), short: o.Shortlist, norm: o.Norm.m, lm: o.LM.m}
	opt := C.struct_skerry_head_options{norm: norm, lm: lm, eps: C.float(eps), threads: C.int(max(1, o.Threads)), poll: C.int(o.Poll)}
	// Everything C keeps is copied by skerry_head_new; the copies below only
	// satisfy the rule that C memory holds no Go pointers.
	if o.Translator != nil {
		p := C.CBytes(unsafe.Slice((*byte)(unsafe.Pointer(&o.Translator[0])), 4*len(o.Translator)))
		defer C.free(p)
		opt.translator = (*C.float)(p)
	}
	if o.Bias != nil {
		p := C.CBytes(unsafe.Slice((*byte)(unsafe.Pointer(&o.Bias[0])), 4*len(o.Bias)))
		defer C.free(p)
		opt.bias = (*C.float)(p)
	}
	if o.Shortlist != nil {
		p := C.CBytes(o.ShortlistRows)
		defer C.free(p)
		opt.shortlist_rows, opt.n_shortlist = p, C.int(len(o.Shortlist))
	}
	if h.c = C.skerry_head_new(&opt); h.c == nil {
		return nil, fmt.Errorf("exit head over %s: its LM head is not in the CPU's memory, or memory ran out", h.lm.path)
	}
	h.norm.retain()
	h.lm.retain()
	return h, nil
}

// headTensors finds the stage's norm and LM head in its graph, which the first
// full forward pass shows.
func (s *Stage) headTensors() (norm, lm *C.struct_ggml_tensor, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		return nil, nil, errClosed
	}
	if s.c.lm == nil {
		// The sequence with the most room: the position is forgotten at once.
		at := slices.Min(s.next)
		b := Batch{Pos: []int32{at}, Seq: []int32{int32(slices.Index(s.next, at))}, Want: []Want{WantLogits}}
		if s.m.meta("skerry.from") == "" || s.m.meta("skerry.from") == "0" {
			b.Tokens = []int32{0}
		} else {
			b.Hidden = make([]float32, s.width)
		}
		if _, err := s.compute(b); err != nil {
			return nil, nil, err
		}
		s.rollback(b)
	}
	if s.c.norm == nil || s.c.lm == nil {
		return nil, nil, errorf(s.m.path, "its norm and LM head are not where llama.cpp has them: exit heads cannot be shared")
	}
	return s.c.norm, s.c.lm, nil
}

// Size is the length of a row of logits: the vocabulary's or the shortlist's.
func (h *Head) Size() int {
	if h.short != nil {
		return len(h.short)
	}
	return h.vocab
}

// Tokens are the ids the logits belong to, nil for all in order.
func (h *Head) Tokens() []int32 { return h.short }

// Bytes is what the head keeps of its own, beyond the weights it shares.
func (h *Head) Bytes() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.c == nil {
		return 0
	}
	return int64(C.skerry_head_bytes(h.c))
}

// Logits computes [n][Size()]float32 from hidden states [n][n_embd]float32.
func (h *Head) Logits(hidden []float32) ([]float32, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.c == nil {
		return nil, fmt.Errorf("exit head is closed")
	}
	n := len(hidden) / h.width
	if n == 0 || n*h.width != len(hidden) {
		return nil, fmt.Errorf("exit head: %d values are no rows of width %d", len(hidden), h.width)
	}
	out := make([]float32, n*h.Size())
	if r := C.skerry_head_compute(h.c, C.int(n), (*C.float)(&hidden[0]), (*C.float)(&out[0])); r != 0 {
		return nil, fmt.Errorf("exit head over %s failed (%d): %w", h.lm.path, int(r), lastError("no reason given"))
	}
	return out, nil
}

// Close frees what the head keeps of its own.
func (h *Head) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.c == nil {
		return
	}
	C.skerry_head_free(h.c)
	h.c = nil
	h.norm.release()
	h.lm.release()
}
