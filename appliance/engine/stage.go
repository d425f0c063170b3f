package engine

/*
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
)

// Stage is a contiguous range of blocks with its own KV cache and exit head: one
// llama.cpp context over one GGUF. Its methods may be called from several
// goroutines and run one at a time; different stages compute concurrently.
type Stage struct {
	opt     Options
	blocks  int
	vocab   int
	width   int
	trained int
	memory  Memory

	mu        sync.Mutex // guards all following fields
	c         *C.struct_skerry_stage
	m         *model
	next      []int32 // by sequence: one past the last position in the KV cache
	place     Placement
	fed       []fed      // by sequence, where a GPU computes; else nil
	projector *Projector // of the images whose tokens it knows; nil for none
}

// OpenStage loads a GGUF and makes a stage of all its blocks. Errors name the
// file and give llama.cpp's reason.
func OpenStage(path string, opt Options) (*Stage, error) {
	opt = opt.withDefaults()
	if err := opt.check(); err != nil {
		return nil, errorf(path, "%w", err)
	}
	Init("")
	place, sizes, err := place(path, opt)
	if err != nil {
		return nil, err
	}
	s := &Stage{opt: opt, next: make([]int32, opt.Sequences), place: place}
	for {
		if err = s.open(path); err == nil {
			return s, nil
		}
		n := s.place.layers()
		if n == 0 {
			return nil, err
		}
		// The GPU has less room than it says, or what it computes in takes more.
		s.place = placed(n*3/4, sizes)
		s.place.Why = fmt.Sprintf("the GPU has no room for %d layers: %v", n, err)
	}
}

// open loads the GGUF at path as it is placed, and makes the context.
func (s *Stage) open(path string) error {
	opt := s.opt
	if s.place.layers() > 0 {
		C.skerry_gpu_work(1)
		defer C.skerry_gpu_work(-1)
	}
	m, err := loadModel(path, s.place.layers(), false)
	if err != nil {
		return err
	}
	if n := int(C.llama_model_n_layer(m.c)); opt.Tap == 0 {
		opt.Tap = n
	} else if opt.Tap < 0 || opt.Tap > n {
		m.release()
		return errorf(path, "tap after block %d of %d", opt.Tap, n)
	}
	for _, b := range opt.Also {
		if b < 1 || b >= opt.Tap {
			m.release()
			return errorf(path, "tap after block %d, which is not below block %d", b, opt.Tap)
		}
	}
	kv := C.int(opt.KV)
	if opt.KV == KVF32 {
		kv = C.GGML_TYPE_F32
	}
	also := make([]C.int, len(opt.Also)+1) // never empty: its address is taken
	for i, b := range opt.Also {
		also[i] = C.int(b)
	}
	var pin runtime.Pinner
	pin.Pin(&also[0])
	defer pin.Unpin()
	loadMu.Lock()
	lastError("")
	c := C.skerry_stage_new(m.c, &C.struct_skerry_stage_options{
		n_ctx: C.int(opt.Context), n_seq: C.int(opt.Sequences), n_rows: C.int(opt.Rows),
		tap: C.int(opt.Tap), also: &also[0], n_also: C.int(len(opt.Also)),
		threads: C.int(opt.Threads), poll: C.int(opt.Poll), type_kv: kv,
		flash_attn: b2i(!opt.NoFlashAttention), offload_kv: C.bool(s.place.layers() > 0),
	})
	reason := lastError("out of memory")
	loadMu.Unlock()
	if c == nil {
		m.release()
		return errorf(path, "no context of %d positions: %w", opt.Context, reason)
	}
	s.c, s.m = c, m
	if s.width == 0 { // it is opened for the first time
		s.opt, s.blocks, s.width = opt, int(C.llama_model_n_layer(m.c)), int(C.llama_model_n_embd(m.c))
		s.vocab, s.trained = int(C.llama_vocab_n_tokens(C.llama_model_get_vocab(m.c))), int(C.llama_model_n_ctx_train(m.c))
		s.memory = s.takes()
	}
	if s.place.layers() > 0 {
		s.fed = make([]fed, opt.Sequences)
	}
	return nil
}

func b2i(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// Close frees the stage. Vocabularies and heads made from it stay usable.
func (s *Stage) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		return
	}
	C.skerry_stage_free(s.c)
	s.c = nil
	s.m.release()
}

// Width is n_embd, the length of a hidden state.
func (s *Stage) Width() int { return s.width }

// VocabSize is the length of a row of logits of the stage's own head.
func (s *Stage) VocabSize() int { return s.vocab }

// Blocks is the number of transformer blocks of the stage.
func (s *Stage) Blocks() int { return s.blocks }

// Placement is where the stage's layers are.
func (s *Stage) Placement() Placement {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.place
}

// Options returns the options in force.
func (s *Stage) Options() Options { return s.opt }

// SetThreads has the stage compute with n of its threads from the next batch on: at
// least 1, at most as many as it was opened with.
func (s *Stage) SetThreads(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil {
		n = min(max(n, 1), s.opt.Threads)
		C.llama_set_n_threads(s.c.ctx, C.int32_t(n), C.int32_t(n))
	}
}

// TrainedContext is the context length the model was trained with, in positions.
func (s *Stage) TrainedContext() int { return s.trained }

// Memory is what a stage keeps, in bytes.
type Memory struct {
	Weights int64 `json:"weights"` // as stored; repacked copies replace what is mapped
	KV      int64 `json:"kv"`
}

// Memory returns the bytes the stage's weights and KV cache take.
func (s *Stage) Memory() Memory { return s.memory }

func (s *Stage) takes() Memory {
	elems := s.opt.cells() * int64(s.Blocks()) * 2 * int64(C.llama_model_n_head_kv(s.m.c)) * s.m.headLength()
	kv := elems * 2
	switch s.opt.KV {
	case KVF32:
		kv = elems * 4
	case KVQ8:
		kv = elems * 34 / 32
	}
	return Memory{Weights: int64(C.llama_model_size(s.m.c)), KV: kv}
}

// Want says what Forward returns for a row.
type Want uint8

// What a row may return. Zero only fills the KV cache.
const (
	WantHidden Want = 1 << iota
	WantLogits
	normed
	// WantNorm is WantHidden after the model's output norm, which a row cannot want beside
	// logits. The stage must hold the model's last block and take hidden states after it alone.
	WantNorm = WantHidden | normed
)

// Batch is n rows on their way through a stage; the rows of one sequence must be at
// consecutive positions that follow what the KV cache holds, in order. Sequences
// with consecutive numbers are computed in one pass as far as they have equally
// many rows; others take a pass each, which reads the weights again.
type Batch struct {
	// Tokens [n] or Hidden [n][n_embd]float32: exactly one of the two. Tokens go
	// into the stage that begins at block 0, hidden states into any other.
	Tokens []int32
	Hidden []float32
	Pos    []int32 // [n]
	Seq    []int32 // [n], nil for all 0
	Want   []Want  // [n], nil for none
}

// NewBatch is n rows of one sequence at positions from pos on that all want the
// same; Tokens or Hidden are still to be set.
func NewBatch(seq, pos, n int, want Want) Batch {
	b := Batch{Pos: make([]int32, n), Seq: make([]int32, n), Want: make([]Want, n)}
	for i := range n {
		b.Pos[i], b.Seq[i], b.Want[i] = int32(pos+i), int32(seq), want
	}
	return b
}

// Output of a Forward. The slices are the caller's to keep.
type Output struct {
	Hidden []float32 // [rows with WantHidden][n_embd]: the residual stream after the last block, before any norm but with WantNorm
	Logits []float32 // [rows with WantLogits][n_vocab]: of the stage's own head
	// Also has, for each of Options.Also, what Hidden has for Options.Tap.
	Also [][]float32
}

// Forward computes a batch. Rows with WantHidden alone never reach the norm and
// LM head. After an error the KV cache of the sequences involved is truncated to
// where it was before the call, so that the call may be repeated. Where a GPU fails
// the stage is loaded once more for the CPU, which computes again what the KV cache
// held, and goes on with the batch.
func (s *Stage) Forward(b Batch) (Output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out Output
	if s.c == nil {
		return out, errClosed
	}
	b, err := s.checkBatch(b)
	if err != nil {
		return out, errorf(s.m.path, "%w", err)
	}
	out, err = s.compute(b)
	if failed := (*deviceError)(nil); errors.As(err, &failed) {
		if err = s.leaveGPU(failed); err == nil {
			out, err = s.compute(b)
		}
	}
	if err != nil {
		s.rollback(b)
		return Output{}, errorf(s.m.path, "%w", err)
	}
	s.keep(b)
	for i, q := range b.Seq {
		s.next[q] = b.Pos[i] + 1
	}
	return out, nil
}

// compute runs the passes of a batch.
func (s *Stage) compute(b Batch) (Output, error) {
	if s.projector != nil && slices.ContainsFunc(b.Tokens, IsImageToken) {
		return s.computeImages(b)
	}
	return s.computeRows(b)
}

// computeRows runs the passes of a batch whose rows are all tokens, or all hidden states.
func (s *Stage) computeRows(b Batch) (Output, error) {
	out := s.newOutput(b)
	for _, p := range s.passes(b) {
		if err := s.decode(b, p, &out); err != nil {
			return Output{}, err
		}
	}
	return out, nil
}

func (s *Stage) checkBatch(b Batch) (Batch, error) {
	n := len(b.Pos)
	if b.Seq == nil {
		b.Seq = make([]int32, n)
	}
	if b.Want == nil {
		b.Want = make([]Want, n)
	}
	switch {
	case n == 0:
		return b, fmt.Errorf("empty batch")
	case (b.Tokens == nil) == (b.Hidden == nil):
		return b, fmt.Errorf("a batch has either tokens or hidden states")
	case b.Tokens != nil && len(b.Tokens) != n, b.Hidden != nil && len(b.Hidden) != n*s.width, len(b.Seq) != n, len(b.Want) != n:
		return b, fmt.Errorf("a batch of %d positions has %d tokens, %d hidden values of width %d, %d sequences, %d wants",
			n, len(b.Tokens), len(b.Hidden), s.width, len(b.Seq), len(b.Want))
	}
	for _, t := range b.Tokens {
		switch {
		case s.projector != nil && IsImageToken(t):
			if s.projector.row(t) == nil {
				return b, errImageGone
			}
		case t < 0 || int(t) >= s.vocab:
			return b, fmt.Errorf("token %d is outside the vocabulary of %d", t, s.vocab)
		}
	}
	next := slices.Clone(s.next)
	for i, w := range b.Want {
		switch {
		case len(s.opt.Also) > 0 && w&WantHidden == 0:
			return b, fmt.Errorf("row %d wants no hidden states from a stage that takes them after several blocks", i)
		case w&normed != 0 && (w != WantNorm || len(s.opt.Also) > 0 || s.opt.Tap < s.Blocks()):
			return b, fmt.Errorf("row %d wants the output norm beside something else, or before the last block", i)
		}
	}
	for i, q := range b.Seq {
		if q < 0 || int(q) >= len(next) {
			return b, fmt.Errorf("sequence %d is outside 0..%d", q, len(next)-1)
		}
		if b.Pos[i] != next[q] {
			return b, fmt.Errorf("sequence %d continues at position %d, not %d", q, next[q], b.Pos[i])
		}
		next[q]++
	}
	return b, s.checkRoom(int(slices.Max(next)))
}

// checkRoom returns a ContextFullError where no sequence holds n positions.
func (s *Stage) checkRoom(n int) error {
	if most := s.opt.PerSequence(); n > most {
		return &ContextFullError{Positions: n, Context: most}
	}
	return nil
}

// ContextFullError says that a sequence does not fit its part of the KV cache.
type ContextFullError struct {
	Positions, Context int // wanted and available, of one sequence
}

func (e *ContextFullError) Error() string {
	return fmt.Sprintf("%d positions do not fit a context of %d: shorten the prompt or raise the context", e.Positions, e.Context)
}

// rollback forgets whatever of b reached the KV cache.
func (s *Stage) rollback(b Batch) {
	if s.c == nil {
		return
	}
	for _, q := range b.Seq {
		C.skerry_stage_forget(s.c, C.int(q), C.int(s.next[q]))
	}
}

// Position is one past the last position of seq in the KV cache.
func (s *Stage) Position(seq int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq < 0 || seq >= len(s.next) {
		return 0
	}
	return int(s.next[seq])
}

// Truncate forgets all positions of seq from pos on; with pos 0 the sequence.
func (s *Stage) Truncate(seq, pos int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		return errClosed
	}
	if seq < 0 || seq >= len(s.next) || pos < 0 || pos > math.MaxInt32 {
		return errorf(s.m.path, "truncate: sequence %d position %d is out of range", seq, pos)
	}
	if pos >= int(s.next[seq]) {
		return nil
	}
	if !C.skerry_stage_forget(s.c, C.int(seq), C.int(pos)) {
		return errorf(s.m.path, "this architecture's cache cannot forget positions")
	}
	s.next[seq] = int32(pos)
	s.forgetFed(seq, pos)
	return nil
}
