package wire

import (
	"errors"
	"fmt"
)

// Open is the first frame of a session stream. Ref.Position is where the board
// would like to resume, 0 for a new session, and Ref.Branch the first branch it
// will send.
//
// Keys 13 to 19 are kept for the sampler chain, its seed and the history it
// needs.
type Open struct {
	noBody
	Ref
	Protocol  uint32  `cbor:"5,keyasint"` // the oldest version that can read what the board writes
	Bundle    Hash    `cbor:"6,keyasint"`
	Encodings []DType `cbor:"7,keyasint"` // of hidden states, best first
	Context   uint64  `cbor:"8,keyasint"` // positions wanted, 0 for the cloud's choice
	Exact     bool    `cbor:"9,keyasint,omitempty"`
	Newest    uint32  `cbor:"10,keyasint,omitempty"` // the newest version the board speaks; 0: Protocol
	Resends   bool    `cbor:"11,keyasint,omitempty"` // the board can send any row again
	Since     uint32  `cbor:"12,keyasint,omitempty"` // as of the first uplink
	Tokens    bool    `cbor:"20,keyasint,omitempty"` // token ids in place of hidden states
}

// Opened answers Open. Ref.Branch and Ref.Position say what the cloud still has
// of the session: the rows below Position as they were on that branch. A cloud
// that has nothing answers position 0.
type Opened struct {
	noBody
	Ref
	Encoding DType  `cbor:"5,keyasint"`
	Context  uint64 `cbor:"6,keyasint"`           // positions granted
	Protocol uint32 `cbor:"7,keyasint,omitempty"` // the version both sides speak; 0: 1
}

// Ask wants the logits of the row at Ref.Position. It may arrive before that
// row, or before the uplink of its branch; then it waits for them. Asking again
// for the last answered position is answered again.
type Ask struct {
	Ref
	Serial   uint32        `cbor:"5,keyasint"`           // echoed by the answer
	TopK     uint32        `cbor:"6,keyasint"`           // 0: the whole row
	Deadline uint64        `cbor:"7,keyasint,omitempty"` // µs the board will wait, 0: not said
	Masked   *TensorHeader `cbor:"8,keyasint,omitempty"` // body: the only ids wanted, [n]int32

	Mask []int32 `cbor:"-"`
}

// Answer carries logits of one row: the TopK largest by falling logit, ties by
// rising id, or with no ids the whole row, [n_vocab]float32. LogSumExp is over
// the whole row always, so that probabilities can be told from a part of it.
type Answer struct {
	Ref
	Serial    uint32        `cbor:"5,keyasint"`
	IDTensor  *TensorHeader `cbor:"6,keyasint,omitempty"`
	Tensor    *TensorHeader `cbor:"7,keyasint,omitempty"`
	LogSumExp float64       `cbor:"8,keyasint"`
	Queue     uint64        `cbor:"9,keyasint"`  // µs between having all the rows and computing
	Compute   uint64        `cbor:"10,keyasint"` // µs of forward passes it took
	Rows      uint32        `cbor:"11,keyasint"` // positions computed for it

	IDs    []int32   `cbor:"-"`
	Logits []float32 `cbor:"-"`
}

// Close ends a session; the cloud forgets it.
type Close struct {
	noBody
	Ref
}

func (*Open) Type() Type   { return TypeOpen }
func (*Opened) Type() Type { return TypeOpened }
func (*Ask) Type() Type    { return TypeAsk }
func (*Answer) Type() Type { return TypeAnswer }
func (*Close) Type() Type  { return TypeClose }

func (o *Open) setBody([]byte) error {
	if o.Context > maxPosition {
		return errPosition
	}
	return o.check()
}

func (o *Opened) setBody([]byte) error {
	if o.Context > maxPosition {
		return errPosition
	}
	return o.check()
}

func (c *Close) setBody([]byte) error { return c.check() }

var (
	errTrailing = errors.New("bytes after the last tensor")
	errLengths  = errors.New("ids and logits differ in number")
)

// NewAsk returns an ask whose header agrees with mask.
func NewAsk(ref Ref, serial, topK uint32, mask []int32) *Ask {
	return &Ask{Ref: ref, Serial: serial, TopK: topK, Masked: vector(I32, len(mask)), Mask: mask}
}

func (a *Ask) body() ([]byte, error) { return appendInts(nil, a.Mask), nil }

func (a *Ask) setBody(b []byte) error {
	data, rest, err := splitVector(a.Masked, I32, b)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return errTrailing
	}
	a.Mask = ints(data)
	return a.check()
}

// NewAnswer returns an answer to a whose header agrees with ids, [k]int32, nil
// for a whole row, and logits, [k]float32 or [n_vocab]float32.
func NewAnswer(a *Ask, ids []int32, logits []float32) *Answer {
	return &Answer{
		Ref: a.Ref, Serial: a.Serial,
		IDTensor: vector(I32, len(ids)), Tensor: vector(F32, len(logits)),
		IDs: ids, Logits: logits,
	}
}

func (a *Answer) body() ([]byte, error) {
	if a.IDs != nil && len(a.IDs) != len(a.Logits) {
		return nil, errLengths
	}
	b := make([]byte, 0, 4*(len(a.IDs)+len(a.Logits)))
	return appendFloats(appendInts(b, a.IDs), a.Logits), nil
}

func (a *Answer) setBody(b []byte) error {
	ids, rest, err := splitVector(a.IDTensor, I32, b)
	if err != nil {
		return fmt.Errorf("ids: %w", err)
	}
	logits, rest, err := splitVector(a.Tensor, F32, rest)
	if err != nil {
		return fmt.Errorf("logits: %w", err)
	}
	if len(rest) > 0 {
		return errTrailing
	}
	if len(ids) > 0 && len(ids) != len(logits) {
		return errLengths
	}
	a.IDs, a.Logits = ints(ids), floats(nil, logits)
	return a.check()
}
