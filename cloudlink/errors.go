package cloudlink

import (
	"errors"
	"fmt"
	"time"

	"github.com/quic-go/quic-go"

	"skerry/cloudlink/wire"
)

// Returned by any call once the link or the session has ended.
var (
	// ErrLost says that the connection died: go on alone.
	ErrLost = errors.New("connection to the cloud lost")
	// ErrClosed says that this side closed the session or client.
	ErrClosed = errors.New("closed")
)

// Returned by Session.Append and Session.Ask.
var (
	// ErrContextFull says that the position lies beyond the context.
	ErrContextFull = errors.New("context full")
	// ErrTruncated says that Truncate left the branch the ask belonged to.
	ErrTruncated = errors.New("the branch was truncated")
)

// ErrEarlyRejected comes out of every stream opened before the handshake when
// the cloud did not take the early data.
var ErrEarlyRejected error = quic.Err0RTTRejected

// Answers of the cloud; a *RemoteError matches them with errors.Is.
var (
	ErrBusy          = errors.New("busy")
	ErrUnknownBundle = errors.New("unknown bundle")
	ErrNotOwner      = errors.New("not owner")
	ErrSendFrom      = errors.New("hidden states missing")
	ErrStale         = errors.New("stale")
	ErrUnauthorized  = errors.New("unauthorized")
	ErrProtocol      = errors.New("protocol error")
	ErrDraining      = errors.New("cloud is stopping")
	ErrInternal      = errors.New("cloud failed")
	ErrNotWhole      = errors.New("no whole model in the cloud")
)

var codeErrors = map[wire.Code]error{
	wire.CodeInternal: ErrInternal, wire.CodeProtocol: ErrProtocol, wire.CodeBusy: ErrBusy,
	wire.CodeUnknownBundle: ErrUnknownBundle, wire.CodeNotOwner: ErrNotOwner,
	wire.CodeSendFrom: ErrSendFrom, wire.CodeContextFull: ErrContextFull,
	wire.CodeUnauthorized: ErrUnauthorized, wire.CodeStale: ErrStale, wire.CodeDraining: ErrDraining,
	wire.CodeNotWhole: ErrNotWhole,
}

// RemoteError is a refusal by the cloud.
type RemoteError struct {
	Code       wire.Code
	Text       string
	RetryAfter time.Duration     // 0: not said
	Position   int               // for ErrSendFrom: the first position the cloud wants
	Bundles    []wire.BundleName // for ErrUnknownBundle: those it serves
	Owner      string            // for ErrNotOwner: who to ask
	Epoch      uint64            // for ErrStale: the highest epoch the cloud has seen of this device
}

func (e *RemoteError) Error() string {
	return fmt.Sprintf("cloud answers %s: %s", e.Code, e.Text)
}

// Is matches the sentinel of the code.
func (e *RemoteError) Is(target error) bool {
	s, ok := codeErrors[e.Code]
	return ok && s == target
}

func remoteError(e *wire.Error) *RemoteError {
	return &RemoteError{
		Code: e.Code, Text: e.Text, RetryAfter: time.Duration(e.RetryAfter) * time.Millisecond,
		Position: int(e.Position), Bundles: e.Bundles, Owner: e.Owner, Epoch: e.Highest,
	}
}
