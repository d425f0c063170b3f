package wire

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

// Close ends a session; the cloud forgets it.
type Close struct {
	noBody
	Ref
}

func (*Open) Type() Type   { return TypeOpen }
func (*Opened) Type() Type { return TypeOpened }
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
