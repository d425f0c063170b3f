package wire

import (
	"fmt"
	"math"
)

// MaxWindow bounds how many tokens of a Lead may be on their way unacknowledged, and with it
// how many one Led carries.
const MaxWindow = 1024

// maxSampler bounds the settings of a sampler, a grammar among them, in bytes.
const maxSampler = 1 << 20

// Lead has the cloud go on with an answer from the row at Ref.Position by itself: it drafts,
// checks with the whole model, and samples as the board would, with noise keyed by seed and
// position, so that the text is the same. It ends with a token that ends an answer, Max tokens,
// or the end of the context; truncating the session ends it within one pass. The board says
// with Taken how far it has come, and no more than Window tokens are ahead of that.
type Lead struct {
	Ref
	Serial    uint32 `cbor:"5,keyasint"`           // echoed by every Led
	Max       uint32 `cbor:"6,keyasint"`           // tokens wanted, at least 1
	Begin     uint64 `cbor:"7,keyasint"`           // position of the answer's first token: a grammar begins there
	Window    uint32 `cbor:"8,keyasint"`           // 1 to MaxWindow
	IgnoreEnd bool   `cbor:"9,keyasint,omitempty"` // go on past the model's end of answer
	Draft     string `cbor:"10,keyasint,omitempty"`

	Sampler []byte `cbor:"-"` // the body: a JSON object
}

// Led are tokens of a Lead that follow one another. Ref.Position is the row that the first
// was taken from; it stands at the next position. None are there only where Stop is set.
type Led struct {
	noBody
	Ref
	Serial     uint32    `cbor:"5,keyasint"`
	IDs        []int32   `cbor:"6,keyasint"`
	Confidence []float32 `cbor:"7,keyasint"` // of each, the probability of the likeliest
	Margin     []float32 `cbor:"8,keyasint"` // of each, between the two largest logits
	Logprob    []float32 `cbor:"9,keyasint"` // of each, the natural logarithm of its probability
	Checks     uint32    `cbor:"10,keyasint"`
	Drafted    uint32    `cbor:"11,keyasint"` // tokens that the passes checked
	Accepted   uint32    `cbor:"12,keyasint"` // of them
	Queue      uint64    `cbor:"13,keyasint"` // µs they waited for the stage
	Compute    uint64    `cbor:"14,keyasint"` // µs of forward passes they took
	Stop       Stop      `cbor:"15,keyasint,omitempty"`
}

// Taken says that the board has taken the tokens of a Lead below Ref.Position.
type Taken struct {
	noBody
	Ref
	Serial uint32 `cbor:"5,keyasint"`
}

func (*Lead) Type() Type  { return TypeLead }
func (*Led) Type() Type   { return TypeLed }
func (*Taken) Type() Type { return TypeTaken }

func (l *Lead) body() ([]byte, error) { return l.Sampler, nil }

func (l *Lead) setBody(b []byte) error {
	switch {
	case l.Max == 0 || l.Max > maxPosition:
		return fmt.Errorf("%d tokens wanted: %w", l.Max, errCount)
	case l.Window == 0 || l.Window > MaxWindow:
		return fmt.Errorf("a window of %d tokens: %w", l.Window, errCount)
	case l.Begin > l.Position+1:
		return errPosition
	case len(l.Draft) > 32:
		return errLength
	}
	l.Sampler = append([]byte(nil), b...)
	return l.check()
}

func (l *Led) setBody([]byte) error {
	n := len(l.IDs)
	switch {
	case n == 0 && l.Stop == StopNot, n > MaxWindow:
		return fmt.Errorf("%d tokens: %w", n, errCount)
	case len(l.Confidence) != n || len(l.Margin) != n || len(l.Logprob) != n:
		return errLengths
	case l.Drafted > maxPosition || l.Accepted > l.Drafted || l.Checks > maxPosition:
		return errCount
	case l.Queue > maxWork || l.Compute > maxWork:
		return errDuration
	case l.Stop > StopContext:
		return fmt.Errorf("%w: %d", errStop, l.Stop)
	}
	for i, id := range l.IDs {
		switch c, m, p := float64(l.Confidence[i]), float64(l.Margin[i]), float64(l.Logprob[i]); {
		case id < 0 || id >= MaxTokenID:
			return fmt.Errorf("%w: %d", errToken, id)
		case !(c >= 0 && c <= 1+1e-6), !finite(m), m < 0, math.IsNaN(p), p > 1e-6:
			return fmt.Errorf("token %d: %w", i+1, errNumber)
		}
	}
	return l.check()
}

func (t *Taken) setBody([]byte) error { return t.check() }
