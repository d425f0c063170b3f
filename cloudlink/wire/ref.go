package wire

import (
	"encoding/hex"
	"errors"
	"log/slog"
)

// Hash is a sha256, as bundles are named by.
type Hash [32]byte

// SessionID names a session of one device; the board draws it at random.
type SessionID [16]byte

func (h Hash) String() string      { return hex.EncodeToString(h[:8]) }
func (s SessionID) String() string { return hex.EncodeToString(s[:4]) }

// LogValue logs what String shows.
func (s SessionID) LogValue() slog.Value { return slog.StringValue(s.String()) }

var errLength = errors.New("byte string of the wrong length")

// MarshalBinary makes the hash a CBOR byte string.
func (h Hash) MarshalBinary() ([]byte, error) { return h[:], nil }

// UnmarshalBinary refuses any length but 32.
func (h *Hash) UnmarshalBinary(b []byte) error {
	if copy(h[:], b) != len(h) || len(b) != len(h) {
		return errLength
	}
	return nil
}

// MarshalBinary makes the id a CBOR byte string.
func (s SessionID) MarshalBinary() ([]byte, error) { return s[:], nil }

// UnmarshalBinary refuses any length but 16.
func (s *SessionID) UnmarshalBinary(b []byte) error {
	if copy(s[:], b) != len(s) || len(b) != len(s) {
		return errLength
	}
	return nil
}

// maxPosition bounds every position, so that sums of two fit an int anywhere.
const maxPosition = 1 << 30

// Ref says where a message belongs. Every message of a session carries one and
// every answer echoes it; what belongs to an older branch or epoch is dropped.
// The branch number goes up at every truncation, so that a position drafted,
// rejected and drafted again is never mistaken for its former self.
type Ref struct {
	Session  SessionID `cbor:"1,keyasint"`
	Epoch    uint64    `cbor:"2,keyasint"`
	Branch   uint32    `cbor:"3,keyasint"`
	Position uint64    `cbor:"4,keyasint"`
}

var errPosition = errors.New("position out of range")

// check is called for every decoded message that carries a Ref.
func (r Ref) check() error {
	if r.Position > maxPosition {
		return errPosition
	}
	return nil
}

// noBody is embedded by messages that are all header.
type noBody struct{}

func (noBody) body() ([]byte, error) { return nil, nil }
func (noBody) setBody([]byte) error  { return nil }
