package wire

import (
	"errors"
	"fmt"
)

// UplinkHeader is the first frame of an uplink stream, which carries the hidden
// states of one branch of one session. It truncates the context to Keep: the
// positions below are the same as in every branch the cloud may have seen, so
// what it computed of them stands. Ref.Position is the first position that
// follows, at most Keep; rows below it were confirmed by receipts, and rows
// between it and the cloud's end repeat what a reset stream may have lost.
type UplinkHeader struct {
	noBody
	Ref
	Keep uint64 `cbor:"5,keyasint"`
	// Since is the oldest branch for which Keep holds: a cloud that has taken
	// none as new has rows of drafts the board no longer knows, and keeps none.
	Since uint32 `cbor:"6,keyasint,omitempty"`
}

// Hidden carries hidden states of the positions from Position on,
// [n_tokens][n_embd] in the encoding the session agreed on.
type Hidden struct {
	Position uint64       `cbor:"1,keyasint"`
	Tensor   TensorHeader `cbor:"2,keyasint"`

	// Data is the raw tensor; in a decoded message it is valid until the
	// reader's next call.
	Data []byte `cbor:"-"`
}

func (*UplinkHeader) Type() Type { return TypeUplink }
func (*Hidden) Type() Type       { return TypeHidden }

func (u *UplinkHeader) setBody([]byte) error {
	if u.Keep > maxPosition || u.Position > u.Keep || u.Since > u.Branch {
		return errPosition
	}
	return u.check()
}

var errMatrix = errors.New("hidden states are not a matrix")

// Rows returns the number of positions and Width the length of each row.
func (h *Hidden) Rows() int  { return int(h.Tensor.Dims[0]) }
func (h *Hidden) Width() int { return int(h.Tensor.Dims[1]) }

func (h *Hidden) body() ([]byte, error) { return h.Data, h.check() }

func (h *Hidden) setBody(b []byte) error {
	h.Data = b
	return h.check()
}

func (h *Hidden) check() error {
	if len(h.Tensor.Dims) != 2 {
		return errMatrix
	}
	n, err := h.Tensor.Size()
	if err != nil {
		return err
	}
	if n != len(h.Data) {
		return fmt.Errorf("%w: %d bytes of %d", errTensor, len(h.Data), n)
	}
	if h.Position > maxPosition {
		return errPosition
	}
	return nil
}
