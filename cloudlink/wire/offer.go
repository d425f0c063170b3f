package wire

import (
	"errors"
	"unicode"
	"unicode/utf8"
)

// Offer tells a board of a new version of its software, and when it may be installed. A
// board believes nothing of it but where to look: what it installs is signed, by another
// than the cloud. An offer without a version takes the one before back. Boards that do not
// know the type skip it.
type Offer struct {
	noBody
	Number  uint64 `cbor:"1,keyasint"`           // grows with every offer of this cloud
	Version string `cbor:"2,keyasint,omitempty"` // as "1.3.0"
	URL     string `cbor:"3,keyasint,omitempty"` // of the update's directory, http or https
	Ring    string `cbor:"4,keyasint,omitempty"` // whom it was made for
	// From and Until bound the time of day, by the board's clock and zone, in minutes
	// since midnight. It may span midnight; where both are equal any time is right.
	From  uint64 `cbor:"5,keyasint,omitempty"`
	Until uint64 `cbor:"6,keyasint,omitempty"`
	// Bundle is the id of the model bundle that the update is of, none where it is of the
	// board's software.
	Bundle Hash `cbor:"7,keyasint,omitzero"`
}

// Offered says how a board stands to an offer.
type Offered struct {
	Number  uint64 `cbor:"1,keyasint"` // of the offer
	Version string `cbor:"2,keyasint"`
	State   string `cbor:"3,keyasint"`           // as "waiting", "installed", "refused"
	Reason  string `cbor:"4,keyasint,omitempty"` // in words
}

func (*Offer) Type() Type { return TypeOffer }

// dayMinutes is how many a day has.
const dayMinutes = 24 * 60

func (o *Offer) setBody([]byte) error {
	for _, s := range []struct {
		text string
		most int
	}{{o.Version, 64}, {o.URL, 1024}, {o.Ring, 64}} {
		if len(s.text) > s.most {
			return errors.New("a text of an offer is too long")
		}
		for _, r := range s.text {
			if r == utf8.RuneError || unicode.IsControl(r) || unicode.IsSpace(r) {
				return errors.New("a text of an offer has what is no letter or sign")
			}
		}
	}
	if o.From >= dayMinutes || o.Until >= dayMinutes {
		return errors.New("an offer with a time beyond the day")
	}
	return nil
}
