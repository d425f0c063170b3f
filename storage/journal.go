package storage

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// chunkTokens is how many tokens a record of a journal holds: an append writes
// the last record anew, about a kilobyte.
const chunkTokens = 256

// chunkVersion is the form that chunks are written in; 0 had the same fields.
const chunkVersion = 1

// chunk is one record of a journal.
type chunk struct {
	Version int     `cbor:"0,keyasint,omitempty"`
	Start   int     `cbor:"1,keyasint"`
	Tokens  []int32 `cbor:"2,keyasint"`
}

func chunkKey(id string, n int) string {
	return string(binary.BigEndian.AppendUint32([]byte(id+"\x00"), uint32(n)))
}

// extend appends to the session in memory and returns the records to write.
func (db *DB) extend(s *session, tokens []int32) ([]Change, error) {
	if err := db.readTail(s); err != nil {
		return nil, err
	}
	return db.update(s, func() ([]Change, error) { return s.extend(tokens), nil })
}

// extend appends to the tail, and returns the chunks to write.
func (s *session) extend(tokens []int32) []Change {
	var changes []Change
	for len(tokens) > 0 {
		n := s.Position / chunkTokens
		if s.Position%chunkTokens == 0 {
			s.tail = nil
		}
		take := min(chunkTokens-len(s.tail), len(tokens))
		s.tail = append(s.tail, tokens[:take]...)
		s.Position += take
		tokens = tokens[take:]
		key := chunkKey(s.ID, n)
		changes = append(changes, Change{tokenBucket, key, seal(key, chunk{chunkVersion, n * chunkTokens, s.tail})})
	}
	return changes
}

// readTail reads the last chunk, where it is not full.
func (db *DB) readTail(s *session) error {
	if s.tail != nil || s.Position%chunkTokens == 0 {
		return nil
	}
	tail, err := db.chunk(s, s.Position/chunkTokens)
	s.tail = tail
	return err
}

// chunk reads the tokens of the session that lie in chunk n.
func (db *DB) chunk(s *session, n int) ([]int32, error) {
	key := chunkKey(s.ID, n)
	value, err := db.get(tokenBucket, key)
	if err != nil {
		return nil, err
	}
	var c chunk
	if err := unseal(key, value, &c); err != nil {
		return nil, fmt.Errorf("session %s: %w", s.ID, err)
	}
	if want := min(chunkTokens, s.Position-n*chunkTokens); c.Start != n*chunkTokens || len(c.Tokens) != want {
		return nil, fmt.Errorf("session %s: %w: %d tokens at %d, not %d at %d",
			s.ID, ErrDamaged, len(c.Tokens), c.Start, want, n*chunkTokens)
	}
	return c.Tokens, nil
}

// tokens reads the whole journal.
func (db *DB) tokens(s *session) ([]int32, error) {
	out := make([]int32, 0, s.Position)
	for n := 0; n*chunkTokens < s.Position; n++ {
		part, err := db.chunk(s, n)
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
	}
	return out, nil
}

// cut shortens the session in memory, counts its branch up, and returns the records to
// change.
func (db *DB) cut(s *session, pos int) ([]Change, error) {
	keep := pos / chunkTokens
	var tail []int32
	if pos%chunkTokens != 0 {
		part, err := db.chunk(s, keep)
		if err != nil {
			return nil, err
		}
		tail = part[:pos%chunkTokens]
	}
	var changes []Change
	for n := keep; pos < s.Position && n*chunkTokens < s.Position; n++ {
		changes = append(changes, Change{tokenBucket, chunkKey(s.ID, n), nil})
	}
	if tail != nil && len(changes) > 0 {
		key := chunkKey(s.ID, keep)
		changes[0].value = seal(key, chunk{chunkVersion, keep * chunkTokens, tail})
	}
	return db.update(s, func() ([]Change, error) {
		s.Position, s.tail = pos, slices.Clone(tail)
		s.Branch++
		return changes, nil
	})
}
