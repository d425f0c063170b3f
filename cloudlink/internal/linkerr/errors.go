// Package linkerr has the errors of a link to a cloud: what a cloud refused, how it broke
// the protocol, and how a connection ended. Package cloudlink shows them to others.
package linkerr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

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

// ErrUnanswered says that the cloud kept the connection alive and did not answer
// what it had everything for. It comes with ErrLost.
var ErrUnanswered = errors.New("the cloud keeps the connection and does not answer")

// ErrPath says that hidden states do not get through, though small packets do, as
// when the way has come to take smaller packets than before. It comes with ErrLost.
var ErrPath = errors.New("large packets do not get through, small ones do: the path may take only smaller ones now (its MTU)")

// ErrBudget says that the month's bytes are spent, or too scarce for what was
// wanted.
var ErrBudget = errors.New("byte budget")

// ProtocolError says that the cloud sent what no cloud may: it ends the session it
// came on, or the connection. It matches ErrProtocol, and ErrLost: the board goes on
// as after any other loss.
type ProtocolError struct {
	What string // that broke the protocol
	Err  error  // of the frame, nil where it was well formed
}

func (e *ProtocolError) Error() string {
	if e.Err != nil {
		return "the cloud breaks the protocol: " + e.What + ": " + e.Err.Error()
	}
	return "the cloud breaks the protocol: " + e.What
}

// Is matches ErrProtocol and ErrLost.
func (e *ProtocolError) Is(target error) bool { return target == ErrProtocol || target == ErrLost }

func (e *ProtocolError) Unwrap() error { return e.Err }

// Breach makes a ProtocolError without the error of a frame.
func Breach(format string, args ...any) *ProtocolError {
	return &ProtocolError{What: fmt.Sprintf(format, args...)}
}

// AsBreach makes a ProtocolError of the error of a frame, and leaves others alone.
func AsBreach(err error) error {
	if errors.Is(err, wire.ErrFrame) {
		return &ProtocolError{What: "a message is not well formed", Err: err}
	}
	return err
}

// ErrOneRow is returned by Session.AskRows where the cloud answers one row at a time.
var ErrOneRow = errors.New("the cloud answers one row at a time")

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
	ErrNoLead        = errors.New("the cloud does not lead")
	ErrNoFile        = errors.New("no such file in the cloud")
	// ErrRevoked is an ErrUnauthorized of a device that was let in before.
	ErrRevoked = errors.New("device revoked")
)

var codeErrors = map[wire.Code]error{
	wire.CodeInternal: ErrInternal, wire.CodeProtocol: ErrProtocol, wire.CodeBusy: ErrBusy,
	wire.CodeUnknownBundle: ErrUnknownBundle, wire.CodeNotOwner: ErrNotOwner,
	wire.CodeSendFrom: ErrSendFrom, wire.CodeContextFull: ErrContextFull,
	wire.CodeUnauthorized: ErrUnauthorized, wire.CodeStale: ErrStale, wire.CodeDraining: ErrDraining,
	wire.CodeNotWhole: ErrNotWhole, wire.CodeNoFile: ErrNoFile, wire.CodeNoLead: ErrNoLead,
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
	Revoked    bool              // for ErrUnauthorized: it is ErrRevoked too
}

func (e *RemoteError) Error() string {
	if e.Revoked {
		return "cloud answers revoked: " + e.Text
	}
	return fmt.Sprintf("cloud answers %s: %s", e.Code, e.Text)
}

// Is matches the sentinel of the code.
func (e *RemoteError) Is(target error) bool {
	if target == ErrRevoked {
		return e.Revoked
	}
	s, ok := codeErrors[e.Code]
	return ok && s == target
}

// LongestPause bounds for how long a cloud is left alone at its own wish.
const LongestPause = time.Hour

// Remote is the refusal that a cloud has sent, with its texts made fit to be shown.
func Remote(e *wire.Error) *RemoteError {
	r := &RemoteError{
		Code: e.Code, Text: Printable(e.Text, MaxText), Position: int(e.Position),
		RetryAfter: min(time.Duration(e.RetryAfter)*time.Millisecond, LongestPause),
		Bundles:    slices.Clone(e.Bundles), Owner: Printable(e.Owner, MaxText), Epoch: e.Highest,
		Revoked: e.Revoked && e.Code == wire.CodeUnauthorized,
	}
	for i := range r.Bundles {
		r.Bundles[i].Name = Printable(r.Bundles[i].Name, MaxName)
	}
	return r
}

// Bounds of the cloud's texts, in characters. They are shown on terminals and pages.
const (
	MaxText = 400
	MaxName = 100
)

// Printable returns text as one line of at most most characters, without what a
// terminal would take for a command.
func Printable(text string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}
