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
)

// ErrState is returned by Import for bytes that are damaged or belong to other
// blocks, another model or another KV type.
var ErrState = errors.New("not a KV state of this stage")

const stateMagic = "skerryKV1\n"

// Export returns the KV cache of a sequence: a header with the identity of the
// blocks, the position and a sha256, then llama.cpp's own encoding.
func (s *Stage) Export(seq int) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		return nil, errClosed
	}
	if seq < 0 || seq >= len(s.next) {
		return nil, errorf(s.m.path, "export: sequence %d is outside 0..%d", seq, len(s.next)-1)
	}
	state := []byte{}
	if s.next[seq] > 0 { // llama.cpp has no encoding for an empty sequence that it would take back
		state = make([]byte, C.llama_state_seq_get_size(s.c.ctx, C.llama_seq_id(seq)))
		n := C.llama_state_seq_get_data(s.c.ctx, (*C.uint8_t)(&state[0]), C.size_t(len(state)), C.llama_seq_id(seq))
		if n == 0 {
			return nil, errorf(s.m.path, "export of sequence %d failed: %w", seq, lastError("no reason given"))
		}
		state = state[:n]
	}
	head := s.stateHeader(int(s.next[seq]))
	sum := sha256.Sum256(append(bytes.Clone(head), state...))
	return append(append(head, sum[:]...), state...), nil
}

func (s *Stage) stateHeader(pos int) []byte {
	id := s.m.identity() + fmt.Sprintf(" kv%d", s.opt.KV)
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

	n := len(s.stateHeader(0))
	if len(state) < n+sha256.Size || !bytes.Equal(state[:n-4], s.stateHeader(0)[:n-4]) {
		return errorf(s.m.path, "%w", ErrState)
	}
	head, sum, data := state[:n], state[n:n+sha256.Size], state[n+sha256.Size:]
	if got := sha256.Sum256(append(bytes.Clone(head), data...)); !bytes.Equal(got[:], sum) {
		return errorf(s.m.path, "%w: it is damaged", ErrState)
	}
	pos := int(binary.LittleEndian.Uint32(head[n-4:]))
	total := pos
	for _, p := range s.next {
		total += int(p)
	}
	if total > s.opt.Context {
		return errorf(s.m.path, "%w", &ContextFullError{Positions: total, Context: s.opt.Context})
	}
	if pos == 0 {
		return nil
	}
	if C.llama_state_seq_set_data(s.c.ctx, (*C.uint8_t)(&data[0]), C.size_t(len(data)), C.llama_seq_id(seq)) == 0 {
		return errorf(s.m.path, "%w: %w", ErrState, lastError("llama.cpp refused it"))
	}
	C.skerry_stage_guard(s.c, C.int(seq), 0, -1)
	s.next[seq] = int32(pos)
	return nil
}
