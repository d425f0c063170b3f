package wire

// Tokens carries token ids of the positions from Position on, [n]int32, in
// place of hidden states, to a bundle whose cloud holds all blocks.
type Tokens struct {
	Position uint64       `cbor:"1,keyasint"`
	Tensor   TensorHeader `cbor:"2,keyasint"`

	IDs []int32 `cbor:"-"`
}

func (*Tokens) Type() Type { return TypeTokens }

// NewTokens returns ids from position pos on. At least one is needed.
func NewTokens(pos uint64, ids []int32) *Tokens {
	return &Tokens{Position: pos, Tensor: TensorHeader{DType: I32, Dims: []uint64{uint64(len(ids))}}, IDs: ids}
}

func (t *Tokens) body() ([]byte, error) {
	b := appendInts(nil, t.IDs)
	_, _, err := splitVector(&t.Tensor, I32, b)
	return b, err
}

func (t *Tokens) setBody(b []byte) error {
	data, rest, err := splitVector(&t.Tensor, I32, b)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return errTrailing
	}
	if t.Position > maxPosition {
		return errPosition
	}
	t.IDs = ints(data)
	return nil
}

// maxEnds bounds the end tokens of a Generate.
const maxEnds = 256

// Generate asks the cloud to go on alone from the row at Ref.Position: take the
// token with the largest logit, ties by lower id, say it, append it, and so on
// until a token of Ends, Max tokens, or the end of the context. Truncating the
// session ends it within one token.
type Generate struct {
	noBody
	Ref
	Serial uint32  `cbor:"5,keyasint"` // echoed by every token
	Max    uint32  `cbor:"6,keyasint"` // tokens wanted, at least 1
	Ends   []int32 `cbor:"7,keyasint,omitempty"`
}

// Stop says why no token follows.
type Stop uint32

const (
	StopNot     Stop = 0 // more follow
	StopEnd     Stop = 1 // this is one of Ends
	StopMax     Stop = 2 // as many as wanted
	StopContext Stop = 3 // no position is left for another
)

// Token is one token of a Generate. Ref.Position is the row it was taken from;
// the token stands at the next position.
type Token struct {
	noBody
	Ref
	Serial     uint32  `cbor:"5,keyasint"`
	ID         int32   `cbor:"6,keyasint"`
	Confidence float64 `cbor:"7,keyasint"`  // its probability
	Margin     float64 `cbor:"8,keyasint"`  // between the two largest logits
	Queue      uint64  `cbor:"9,keyasint"`  // µs it waited for the stage
	Compute    uint64  `cbor:"10,keyasint"` // µs of forward passes it took
	Stop       Stop    `cbor:"11,keyasint,omitempty"`
}

func (*Generate) Type() Type { return TypeGenerate }
func (*Token) Type() Type    { return TypeToken }

func (g *Generate) setBody([]byte) error {
	if g.Max == 0 || g.Max > maxPosition || len(g.Ends) > maxEnds {
		return errPosition
	}
	return g.check()
}

func (t *Token) setBody([]byte) error { return t.check() }
