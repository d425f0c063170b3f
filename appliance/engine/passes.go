package engine

/*
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// pass is what one llama_decode computes: the rows of a batch, by their index there,
// in the order they are computed in.
type pass []int

// hiddenRows bounds passes whose every row comes out: llama.cpp reserves a row
// of logits (n_vocab·4 bytes) for each, even where the graph ends before them.
const hiddenRows = 64

// passes cuts a batch. llama.cpp computes sequences together whose numbers are
// consecutive, as many rows of each; it would split anything else itself, into
// graphs whose rows nobody could tell apart.
func (s *Stage) passes(b Batch) (all []pass) {
	left := make([][]int, len(s.next)) // by sequence
	for i, q := range b.Seq {
		left[q] = append(left[q], i)
	}
	for first := 0; first < len(left); {
		if len(left[first]) == 0 {
			first++
			continue
		}
		_, class := span(b, left[first], s.opt.Rows, hiddenRows)
		end := first + 1
		for ; end < len(left) && len(left[end]) > 0 && end-first < s.opt.Rows; end++ {
			_, c := span(b, left[end], s.opt.Rows, hiddenRows)
			if c != 0 && class != 0 && c != class {
				break
			}
			class |= c
		}
		k := end - first
		n := s.opt.Rows
		for _, rows := range left[first:end] {
			fit, _ := span(b, rows, s.opt.Rows/k, hiddenRows/k)
			n = min(n, fit)
		}
		p := make(pass, 0, k*n)
		for q := first; q < end; q++ {
			p = append(p, left[q][:n]...)
			left[q] = left[q][n:]
		}
		all = append(all, p)
	}
	return all
}

// span is how many of a sequence's rows, at most so many and of them so many that
// come out, go into one pass, and what they want: rows that want only hidden states
// end the graph early, at the last block or its norm, and so cannot share one with rows
// that want anything else.
func span(b Batch, rows []int, most, flagged int) (n int, class Want) {
	for n, i := range rows {
		c := b.Want[i]
		if c&WantLogits != 0 {
			c = WantLogits
		}
		if c != 0 {
			flagged--
		}
		if n == most || c != 0 && class != 0 && c != class || flagged < 0 {
			return n, class
		}
		class |= c
	}
	return len(rows), class
}

// newOutput has room for all that a batch wants.
func (s *Stage) newOutput(b Batch) (out Output) {
	hidden, logits := 0, 0
	for _, w := range b.Want {
		hidden += int(w & WantHidden / WantHidden)
		logits += int(w & WantLogits / WantLogits)
	}
	if hidden > 0 {
		out.Hidden = make([]float32, hidden*s.width)
		for range s.opt.Also {
			out.Also = append(out.Also, make([]float32, hidden*s.width))
		}
	}
	if logits > 0 {
		out.Logits = make([]float32, logits*s.vocab)
	}
	return out
}

// decode computes the rows p of b.
func (s *Stage) decode(b Batch, p pass, out *Output) error {
	var want Want
	c := &s.c.batch
	c.n_tokens = C.int32_t(len(p))
	tokens, hidden := unsafe.Slice(c.token, len(p)), unsafe.Slice((*float32)(c.embd), len(p)*s.width)
	pos, seq, flags := unsafe.Slice(c.pos, len(p)), unsafe.Slice(c.seq_id, len(p)), unsafe.Slice(c.logits, len(p))
	for k, i := range p {
		if b.Tokens != nil {
			tokens[k] = C.llama_token(b.Tokens[i])
		} else {
			copy(hidden[k*s.width:], b.Hidden[i*s.width:(i+1)*s.width])
		}
		pos[k], *seq[k], flags[k] = C.llama_pos(b.Pos[i]), C.llama_seq_id(b.Seq[i]), 0
		if b.Want[i] != 0 {
			flags[k] = 1
		}
		want |= b.Want[i]
	}
	if s.fed != nil {
		C.skerry_gpu_work(1)
		defer C.skerry_gpu_work(-1)
	}
	r := C.skerry_stage_decode(s.c, C.bool(b.Tokens == nil), C.bool(want&WantHidden != 0), C.bool(want&WantNorm == WantNorm), C.bool(want&WantLogits == 0))
	switch {
	case r <= -100 && want&WantNorm == WantNorm:
		return fmt.Errorf("the output norm did not come out: this architecture's is elsewhere")
	case r <= -100:
		block := append([]int{s.opt.Tap}, s.opt.Also...)[-100-r]
		return fmt.Errorf("the hidden states after block %d did not come out: this architecture cannot be split there", block)
	case r == 1:
		return fmt.Errorf("no room in the KV cache for %d more positions", len(p))
	case r < -1 && s.fed != nil:
		return &deviceError{lastError("no reason given")}
	case r != 0:
		return fmt.Errorf("llama_decode failed (%d): %w", int(r), lastError("no reason given"))
	}
	return s.collect(b, p, out)
}

// collect puts what the rows p of b, just computed, return where it belongs in out.
func (s *Stage) collect(b Batch, p pass, out *Output) error {
	hidden, logits := places(b.Want)
	taps := unsafe.Slice(s.c.taps, int(s.c.n_taps))
	row := func(t C.struct_skerry_tap, k int) []float32 {
		return unsafe.Slice((*float32)(t.rows), int(t.got)/4)[k*s.width : (k+1)*s.width]
	}
	at := 0 // among those that came out
	for k, i := range p {
		if b.Want[i]&WantHidden != 0 {
			copy(out.Hidden[hidden[i]*s.width:], row(taps[0], at))
			for j, t := range taps[1:] { // all rows came out
				copy(out.Also[j][hidden[i]*s.width:], row(t, k))
			}
		}
		if b.Want[i]&WantLogits != 0 {
			l := C.llama_get_logits_ith(s.c.ctx, C.int32_t(k))
			if l == nil {
				return fmt.Errorf("no logits for row %d", i)
			}
			copy(out.Logits[logits[i]*s.vocab:], unsafe.Slice((*float32)(l), s.vocab))
		}
		if b.Want[i] != 0 || bool(taps[0].inner) {
			at++
		}
	}
	return nil
}

// places is where in an Output each row's hidden states and logits are.
func places(want []Want) (hidden, logits []int) {
	hidden, logits = make([]int, len(want)+1), make([]int, len(want)+1)
	for i, w := range want {
		hidden[i+1] = hidden[i] + int(w&WantHidden/WantHidden)
		logits[i+1] = logits[i] + int(w&WantLogits/WantLogits)
	}
	return hidden, logits
}
