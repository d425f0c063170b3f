package engine

/*
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"slices"
)

// fed is what a sequence of a stage with a GPU was fed, kept in the machine's memory: its KV
// cache is lost with a GPU that fails, and is then computed again.
type fed struct {
	base   []byte // a state that was imported, of the positions below from; nil for none
	from   int
	tokens []int32   // [n] from there on, or
	hidden []float32 // [n][n_embd]
}

// FedBytes is what a stage with a GPU keeps of a position that it was fed: its token, or its hidden
// state of embedding numbers.
func FedBytes(embedding int, tokens bool) int64 {
	if tokens {
		return 4
	}
	return 4 * int64(embedding)
}

// keep adds the rows of a batch that was computed.
func (s *Stage) keep(b Batch) {
	if s.fed == nil {
		return
	}
	for i, q := range b.Seq {
		f := &s.fed[q]
		if b.Tokens != nil {
			f.tokens = append(f.tokens, b.Tokens[i])
		} else {
			f.hidden = append(f.hidden, b.Hidden[i*s.width:(i+1)*s.width]...)
		}
	}
}

// forgetFed drops what a sequence was fed from a position on.
func (s *Stage) forgetFed(seq, pos int) {
	if s.fed == nil {
		return
	}
	f := &s.fed[seq]
	if pos == 0 {
		*f = fed{}
		return
	}
	n := max(0, pos-f.from)
	f.tokens, f.hidden = f.tokens[:min(n, len(f.tokens))], f.hidden[:min(n*s.width, len(f.hidden))]
}

// copyFed is what a sequence was fed, to be fed to another one too.
func (s *Stage) copyFed(seq int) fed {
	if s.fed == nil {
		return fed{}
	}
	f := s.fed[seq]
	f.tokens, f.hidden = slices.Clone(f.tokens), slices.Clone(f.hidden)
	return f
}

// deviceError is a GPU that did not compute.
type deviceError struct{ reason error }

func (e *deviceError) Error() string { return e.reason.Error() }

// leaveGPU loads the stage once more, for the CPU, and computes there what its sequences were
// fed. All stages that are opened after it are the CPU's too.
func (s *Stage) leaveGPU(failed *deviceError) error {
	lose(failed)
	old, next, all := s.m, slices.Clone(s.next), s.fed
	C.skerry_stage_free(s.c)
	s.c = nil
	s.place, s.fed = Placement{Why: fmt.Sprintf("the GPU has failed: %v", failed)}, nil
	clear(s.next)
	if err := s.open(old.path); err != nil {
		return fmt.Errorf("the GPU has failed (%w), and the CPU cannot take its place: %w", failed, err)
	}
	old.release()
	for q, f := range all {
		if err := s.feedAgain(q, int(next[q]), f); err != nil {
			return fmt.Errorf("the GPU has failed (%w), and what it had computed is lost: %w", failed, err)
		}
	}
	return nil
}

// feedAgain brings a sequence to where it was.
func (s *Stage) feedAgain(seq, next int, f fed) error {
	from := 0
	if f.base != nil {
		if err := s.restore(seq, f.from, f.base); err != nil {
			return err
		}
		if from = f.from; next < from {
			C.skerry_stage_forget(s.c, C.int(seq), C.int(next))
			from = next
		}
	}
	if n := next - from; n > 0 {
		b := NewBatch(seq, from, n, 0)
		if f.tokens != nil {
			b.Tokens = f.tokens
		} else {
			b.Hidden = f.hidden
		}
		if _, err := s.compute(b); err != nil {
			return err
		}
	}
	s.next[seq] = int32(next)
	return nil
}
