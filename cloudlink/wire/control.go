package wire

// Hello is the first frame of a connection. It waits for nothing: the board
// may open sessions in the same flight.
type Hello struct {
	noBody
	ProtocolMin uint32 `cbor:"1,keyasint"`
	ProtocolMax uint32 `cbor:"2,keyasint"`
	Device      string `cbor:"3,keyasint"` // for the log; the certificate says who it is
	Version     string `cbor:"4,keyasint"` // of the board's software
	Epoch       uint64 `cbor:"5,keyasint"` // the board's number for this connection
	Moves       Moves  `cbor:"6,keyasint,omitempty"`
	Bundle      []byte `cbor:"7,keyasint,omitempty"` // that it wants, a Hash; none: it has not said
}

// Moves says what a board can do that comes to one of several workers.
type Moves uint32

const (
	MovesNot  Moves = iota // it knows of no workers, and is served where it comes to
	Follows                // it goes where another worker's refusal sends it
	WasSent                // another worker has sent it here
	TakesOver              // it cannot reach the worker that has it
	Visits                 // it is served where it comes to, and belongs where it did
)

// Welcome answers Hello.
type Welcome struct {
	noBody
	Protocol uint32       `cbor:"1,keyasint"`
	Version  string       `cbor:"2,keyasint"` // of the cloud's software
	Bundles  []BundleName `cbor:"3,keyasint"`
	// Claim is the number of the claim by which this worker has the board, of several: it
	// only grows, and a worker with a lower one than the board has seen has lost it. 0: there
	// are no others.
	Claim uint64 `cbor:"4,keyasint,omitempty"`
	// Others are addresses of workers that the board can go to when this one is gone.
	Others []string `cbor:"5,keyasint,omitempty"`
}

// BundleName is one bundle a cloud serves.
type BundleName struct {
	ID   Hash   `cbor:"1,keyasint"`
	Name string `cbor:"2,keyasint"`
	// Bytes is what a board that fetches the bundle here gets, the whole model
	// left out; 0: it cannot be fetched.
	Bytes uint64 `cbor:"3,keyasint,omitempty"`
	// Whole says that the cloud holds the whole model too: a session may send token ids.
	Whole bool `cbor:"4,keyasint,omitempty"`
}

// Receipt says how far a session's hidden states have arrived. Position is one
// past the last position of the contiguous run the cloud has on that branch.
// Goodput is estimated from Bytes and Time of two receipts.
type Receipt struct {
	noBody
	Ref
	Bytes uint64 `cbor:"5,keyasint"`           // of uplink frames of the session so far
	Time  uint64 `cbor:"6,keyasint"`           // µs by the cloud's clock, when the last of them arrived
	Queue uint64 `cbor:"7,keyasint,omitempty"` // µs of others' work that an ask of this session would wait for now
}

// Drain says that the cloud is about to stop: open nothing new, go elsewhere.
type Drain struct {
	noBody
	Grace uint64 `cbor:"1,keyasint"` // ms until it stops
	// Others are addresses of workers that the board can go to at once.
	Others []string `cbor:"2,keyasint,omitempty"`
}

func (*Hello) Type() Type   { return TypeHello }
func (*Welcome) Type() Type { return TypeWelcome }
func (*Receipt) Type() Type { return TypeReceipt }
func (*Drain) Type() Type   { return TypeDrain }

func (r *Receipt) setBody([]byte) error { return r.check() }

func (h *Hello) setBody([]byte) error {
	if len(h.Bundle) != 0 && len(h.Bundle) != len(Hash{}) {
		return errLength
	}
	return nil
}

func (w *Welcome) setBody([]byte) error {
	if w.Claim > maxBytes {
		return errCount
	}
	return checkOthers(w.Others)
}

func (d *Drain) setBody([]byte) error {
	if d.Grace > maxPause {
		return errDuration
	}
	return checkOthers(d.Others)
}

// MaxOthers is how many addresses of workers a board is told.
const MaxOthers = 16

func checkOthers(addresses []string) error {
	if len(addresses) > MaxOthers {
		return errCount
	}
	for _, a := range addresses {
		if len(a) > maxOwner {
			return errLength
		}
	}
	return nil
}
