package wire

import "fmt"

// Code says why the cloud refused.
type Code uint32

const (
	CodeInternal      Code = 1  // the cloud's own fault
	CodeProtocol      Code = 2  // a frame that may not come here, or a version not spoken
	CodeBusy          Code = 3  // no room now: try again after RetryAfter
	CodeUnknownBundle Code = 4  // Bundles has those it serves
	CodeNotOwner      Code = 5  // another worker has the session
	CodeSendFrom      Code = 6  // rows are missing: send from Position on
	CodeContextFull   Code = 7  // the position lies beyond the granted context
	CodeUnauthorized  Code = 8  // the device may not
	CodeStale         Code = 9  // an older branch, an older epoch, or a row no longer kept
	CodeDraining      Code = 10 // the cloud is about to stop
	CodeNotWhole      Code = 31 // token ids, where the cloud has not all blocks
	CodeNoFile        Code = 32 // the bundle has no such file here, or no such byte of it
	CodeNoLead        Code = 33 // the cloud does not lead here, or not this answer
)

var codeNames = map[Code]string{
	CodeInternal: "internal error", CodeProtocol: "protocol error", CodeBusy: "busy",
	CodeUnknownBundle: "unknown bundle", CodeNotOwner: "not owner", CodeSendFrom: "send from",
	CodeContextFull: "context full", CodeUnauthorized: "unauthorized", CodeStale: "stale",
	CodeDraining: "draining", CodeNotWhole: "not whole", CodeNoFile: "no such file",
	CodeNoLead: "does not lead",
}

func (c Code) String() string {
	if s, ok := codeNames[c]; ok {
		return s
	}
	return fmt.Sprintf("code %d", uint32(c))
}

// Error refuses one ask, or with Fatal set the whole session or connection
// whose stream it comes on.
type Error struct {
	noBody
	Ref
	Serial     uint32       `cbor:"5,keyasint,omitempty"` // of the refused ask
	Code       Code         `cbor:"6,keyasint"`
	Text       string       `cbor:"7,keyasint"`
	Fatal      bool         `cbor:"8,keyasint,omitempty"`
	RetryAfter uint64       `cbor:"9,keyasint,omitempty"` // ms
	Bundles    []BundleName `cbor:"10,keyasint,omitempty"`
	Owner      string       `cbor:"11,keyasint,omitempty"` // address of the owning worker
	// Highest is the highest epoch the cloud has seen of this device, with
	// CodeStale on a confirmed connection: the board numbers on past it.
	Highest uint64 `cbor:"12,keyasint,omitempty"`
	// Revoked says of CodeUnauthorized that the device was let in before and was
	// barred.
	Revoked bool `cbor:"13,keyasint,omitempty"`
}

func (*Error) Type() Type { return TypeError }

func (e *Error) setBody([]byte) error { return e.check() }
