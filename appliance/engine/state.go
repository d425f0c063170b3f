package engine

/*
#include "shim.h"
*/
import "C"

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// ErrState is returned by Import for bytes that are damaged or belong to other
// blocks, another model, another KV type or a stage of more or fewer sequences.
var ErrState = errors.New("not a KV state of this stage")

const stateMagic = "skerryKV1\n"

// Export returns the KV cache of a sequence: a header with the identity of the
// blocks, the position and a sha256, then llama.cpp's own encoding.
func (s *Stage) Export(seq int) ([]byte, error) { return s.ExportPrefix(seq, s.Position(seq)) }

// ExportPrefix is Export of the first pos positions of a sequence, or of all there
// are.
func (s *Stage) ExportPrefix(seq, pos int) ([]byte, error) {
	head, state, err := s.export(seq, pos)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	h.Write(head)
	h.Write(state)
	return slices.Concat(head, h.Sum(nil), state), nil
}

func (s *Stage) export(seq, pos int) (head, state []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		return nil, nil, errClosed
	}
	if seq < 0 || seq >= len(s.next) || pos < 0 {
		return nil, nil, errorf(s.m.path, "export: sequence %d is outside 0..%d", seq, len(s.next)-1)
	}
	pos = min(pos, int(s.next[seq]))
	if pos == 0 { // llama.cpp has no encoding for an empty sequence that it would take back
		return s.stateHeader(0), nil, nil
	}
	whole, err := s.encode(seq)
	if err != nil || pos == int(s.next[seq]) {
		return s.stateHeader(pos), whole, err
	}
	// llama.cpp encodes whole sequences: what follows is forgotten and put back.
	C.skerry_stage_forget(s.c, C.int(seq), C.int(pos))
	state, err = s.encode(seq)
	kept := s.copyFed(seq)
	err = errors.Join(err, s.restore(seq, int(s.next[seq]), whole))
	if s.fed != nil && err == nil {
		s.fed[seq] = kept
	}
	return s.stateHeader(pos), state, err
}

// encode is a sequence in llama.cpp's encoding.
func (s *Stage) encode(seq int) ([]byte, error) {
	state := make([]byte, C.llama_state_seq_get_size(s.c.ctx, C.llama_seq_id(seq)))
	n := C.llama_state_seq_get_data(s.c.ctx, (*C.uint8_t)(&state[0]), C.size_t(len(state)), C.llama_seq_id(seq))
	if n == 0 {
		return nil, errorf(s.m.path, "export of sequence %d failed: %w", seq, lastError("no reason given"))
	}
	return state[:n], nil
}

// restore replaces a sequence by an encoded one of pos positions. It is empty after
// an error.
func (s *Stage) restore(seq, pos int, state []byte) error {
	C.skerry_stage_forget(s.c, C.int(seq), 0)
	s.next[seq] = 0
	s.forgetFed(seq, 0)
	if C.llama_state_seq_set_data(s.c.ctx, (*C.uint8_t)(&state[0]), C.size_t(len(state)), C.llama_seq_id(seq)) == 0 {
		return errorf(s.m.path, "%w: %w", ErrState, lastError("llama.cpp refused it"))
	}
	s.next[seq] = int32(pos)
	if s.fed != nil {
		s.fed[seq] = fed{base: state, from: pos}
	}
	return nil
}

// Copy makes the first pos positions of sequence from, or all there are, those of
// sequence to, which loses what it held.
func (s *Stage) Copy(from, to, pos int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		return errClosed
	}
	if n := len(s.next); from < 0 || from >= n || to < 0 || to >= n || from == to || pos < 0 {
		return errorf(s.m.path, "copy of %d positions of sequence %d to %d is out of range", pos, from, to)
	}
	if !C.skerry_stage_forget(s.c, C.int(to), 0) {
		return errorf(s.m.path, "this architecture's cache cannot forget positions")
	}
	s.next[to] = 0
	s.forgetFed(to, 0)
	pos = min(pos, int(s.next[from]))
	if pos == 0 {
		return nil
	}
	if !C.skerry_stage_copy(s.c, C.int(from), C.int(to)) || !C.skerry_stage_forget(s.c, C.int(to), C.int(pos)) {
		C.skerry_stage_forget(s.c, C.int(to), 0)
		return errorf(s.m.path, "copy of sequence %d to %d failed: %w", from, to, lastError("out of memory"))
	}
	s.next[to] = int32(pos)
	if s.fed != nil {
		s.fed[to] = s.copyFed(from)
		s.forgetFed(to, pos)
	}
	return nil
}

func (s *Stage) stateHeader(pos int) []byte {
	id := s.m.identity() + fmt.Sprintf(" kv%d of %d", s.opt.KV, s.opt.Sequences)
	h := binary.LittleEndian.AppendUint32([]byte(stateMagic), uint32(len(id)))
	h = append(h, id...)
	return binary.LittleEndian.AppendUint32(h, uint32(pos))
}

// Import replaces a sequence by an exported one. The sequence is empty after an
// error; ErrState says that the bytes are not for this stage, ContextFullError
// that they do not fit.
func (s *Stage) Import(seq int, state []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		return errClosed
	}
	if seq < 0 || seq >= len(s.next) {
		return errorf(s.m.path, "import: sequence %d is outside 0..%d", seq, len(s.next)-1)
	}
	C.skerry_stage_forget(s.c, C.int(seq), 0)
	s.next[seq] = 0
	s.forgetFed(seq, 0)

	n := len(s.stateHeader(0))
	if len(state) < n+sha256.Size || !bytes.Equal(state[:n-4], s.stateHeader(0)[:n-4]) {
		return errorf(s.m.path, "%w", ErrState)
	}
	head, sum, data := state[:n], state[n:n+sha256.Size], state[n+sha256.Size:]
	if got := sha256.Sum256(append(bytes.Clone(head), data...)); !bytes.Equal(got[:], sum) {
		return errorf(s.m.path, "%w: it is damaged", ErrState)
	}
	pos := int(binary.LittleEndian.Uint32(head[n-4:]))
	if err := s.checkRoom(pos); err != nil {
		return errorf(s.m.path, "%w", err)
	}
	if pos == 0 {
		return nil
	}
	return s.restore(seq, pos, data)
}
