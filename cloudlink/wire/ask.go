package wire

import (
	"errors"
	"fmt"
)

// MaxAskRows is how many rows one Ask may want.
const MaxAskRows = 64

// MaxRowsBody bounds the body of an answer of several rows, in bytes. Whoever wants more,
// as whole rows of a large vocabulary, asks for fewer rows at once.
const MaxRowsBody = 4 << 20

// Ask wants the logits of the row at Ref.Position, or with Rows of as many rows, that one
// the last. It may arrive before them, or before the uplink of its branch; then it waits
// for them. Asking again for the last answered position is answered again.
type Ask struct {
	Ref
	Serial   uint32        `cbor:"5,keyasint"`           // echoed by the answer
	TopK     uint32        `cbor:"6,keyasint"`           // 0: the whole row
	Deadline uint64        `cbor:"7,keyasint,omitempty"` // µs the board will wait, 0: not said
	Masked   *TensorHeader `cbor:"8,keyasint,omitempty"` // body: the only ids wanted, [n]int32; of one row only
	Rows     uint32        `cbor:"9,keyasint,omitempty"` // at most MaxAskRows; 0: 1

	Mask []int32 `cbor:"-"`
}

// Answer carries logits of the rows that an Ask wants: of each the TopK largest by falling
// logit, ties by rising id, or with no ids the whole row, [n_vocab]float32. LogSumExp is over
// the whole row always, so that probabilities can be told from a part of it. Of several
// rows, by rising position, the tensors are matrices, [n][k] and [n][k] or [n][n_vocab].
type Answer struct {
	Ref
	Serial    uint32        `cbor:"5,keyasint"`
	IDTensor  *TensorHeader `cbor:"6,keyasint,omitempty"`
	Tensor    *TensorHeader `cbor:"7,keyasint,omitempty"`
	LogSumExp float64       `cbor:"8,keyasint"`            // of the last row
	Queue     uint64        `cbor:"9,keyasint"`            // µs between having all the rows and computing
	Compute   uint64        `cbor:"10,keyasint"`           // µs of forward passes it took
	Rows      uint32        `cbor:"11,keyasint"`           // positions computed for it
	Before    []float64     `cbor:"12,keyasint,omitempty"` // log-sum-exp of the rows before the last

	IDs    []int32   `cbor:"-"` // of all rows, one after another
	Logits []float32 `cbor:"-"` // likewise
}

func (*Ask) Type() Type    { return TypeAsk }
func (*Answer) Type() Type { return TypeAnswer }

var (
	errTrailing = errors.New("bytes after the last tensor")
	errLengths  = errors.New("ids and logits differ in number")
	errUneven   = errors.New("rows of unequal length")
	errMasked   = errors.New("a mask for several rows")
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

// Wanted is how many rows are, at least 1.
func (a *Ask) Wanted() int { return int(max(a.Rows, 1)) }

// First is the position of the first of them.
func (a *Ask) First() int { return int(a.Position) + 1 - a.Wanted() }

// check refuses an ask for more rows than there may be, or for some before position 0.
func (a *Ask) check() error {
	switch err := a.Ref.check(); {
	case err != nil:
		return err
	case a.Rows > MaxAskRows:
		return fmt.Errorf("%d rows: %w", a.Rows, errCount)
	case a.First() < 0:
		return fmt.Errorf("%d rows up to position %d: %w", a.Rows, a.Position, errPosition)
	case a.Rows > 1 && a.Masked != nil:
		return errMasked
	}
	return nil
}

// NewAnswer returns an answer to a whose header agrees with ids, [k]int32, nil for a whole
// row, and logits, [k]float32 or [n_vocab]float32. Where a wants several rows these are of
// all of them, one after another, and before has the log-sum-exp of each but the last.
func NewAnswer(a *Ask, ids []int32, logits []float32, before ...float64) *Answer {
	return &Answer{
		Ref: a.Ref, Serial: a.Serial, Before: before,
		IDTensor: matrix(I32, len(before)+1, len(ids)), Tensor: matrix(F32, len(before)+1, len(logits)),
		IDs: ids, Logits: logits,
	}
}

// Len is how many rows there are.
func (a *Answer) Len() int { return len(a.Before) + 1 }

// Row returns the row i: the ids, nil where it is whole, the logits, and the log-sum-exp.
func (a *Answer) Row(i int) (ids []int32, logits []float32, sum float64) {
	n := a.Len()
	sum = a.LogSumExp
	if i < n-1 {
		sum = a.Before[i]
	}
	k := len(a.Logits) / n
	logits = a.Logits[i*k : (i+1)*k : (i+1)*k]
	if a.IDs != nil {
		ids = a.IDs[i*k : (i+1)*k : (i+1)*k]
	}
	return ids, logits, sum
}

func (a *Answer) body() ([]byte, error) {
	switch {
	case a.IDs != nil && len(a.IDs) != len(a.Logits):
		return nil, errLengths
	case len(a.Logits)%a.Len() != 0:
		return nil, errUneven
	}
	b := make([]byte, 0, 4*(len(a.IDs)+len(a.Logits)))
	return appendFloats(appendInts(b, a.IDs), a.Logits), nil
}

func (a *Answer) setBody(b []byte) error {
	if a.Len() > MaxAskRows {
		return fmt.Errorf("%d rows: %w", a.Len(), errCount)
	}
	ids, rest, err := splitMatrix(a.IDTensor, I32, a.Len(), b)
	if err != nil {
		return fmt.Errorf("ids: %w", err)
	}
	logits, rest, err := splitMatrix(a.Tensor, F32, a.Len(), rest)
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
