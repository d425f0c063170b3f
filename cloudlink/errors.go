package cloudlink

import "skerry/cloudlink/internal/linkerr"

// Returned by any call once the link or the session has ended.
var (
	// ErrLost says that the connection died: go on alone.
	ErrLost = linkerr.ErrLost
	// ErrClosed says that this side closed the session or client.
	ErrClosed = linkerr.ErrClosed
)

// Returned by Session.Append and Session.Ask.
var (
	// ErrContextFull says that the position lies beyond the context.
	ErrContextFull = linkerr.ErrContextFull
	// ErrTruncated says that Truncate left the branch the ask belonged to.
	ErrTruncated = linkerr.ErrTruncated
)

// ErrOneRow is returned by Session.AskRows where the cloud is of a protocol without.
var ErrOneRow = linkerr.ErrOneRow

// Why a connection that was alive is lost; they come with ErrLost.
var (
	// ErrUnanswered says that the cloud kept the connection alive and did not answer
	// what it had everything for.
	ErrUnanswered = linkerr.ErrUnanswered
	// ErrPath says that hidden states do not get through, though small packets do.
	ErrPath = linkerr.ErrPath
)

// ErrBudget says that the month's bytes are spent, or too scarce for what was wanted.
var ErrBudget = linkerr.ErrBudget

// Answers of the cloud; a *RemoteError matches them with errors.Is.
var (
	ErrBusy          = linkerr.ErrBusy
	ErrUnknownBundle = linkerr.ErrUnknownBundle
	ErrNotOwner      = linkerr.ErrNotOwner
	ErrSendFrom      = linkerr.ErrSendFrom
	ErrStale         = linkerr.ErrStale
	ErrUnauthorized  = linkerr.ErrUnauthorized
	ErrProtocol      = linkerr.ErrProtocol
	ErrDraining      = linkerr.ErrDraining
	ErrInternal      = linkerr.ErrInternal
	ErrNotWhole      = linkerr.ErrNotWhole
	ErrNoLead        = linkerr.ErrNoLead
	ErrNoFile        = linkerr.ErrNoFile
	// ErrRevoked is an ErrUnauthorized of a device that was let in before.
	ErrRevoked = linkerr.ErrRevoked
)

type (
	// RemoteError is a refusal by the cloud.
	RemoteError = linkerr.RemoteError
	// ProtocolError says that the cloud sent what no cloud may. It matches ErrProtocol
	// and ErrLost.
	ProtocolError = linkerr.ProtocolError
	// UntrustedError says that one side does not trust the other's certificate. It
	// matches ErrUnauthorized.
	UntrustedError = linkerr.UntrustedError
)

// Explain says in one line what went wrong with a link, for people: every cause once,
// without that the connection is lost. A cause at another address of the cloud than
// beside, which whoever shows the text names beside it, is shown with its address.
func Explain(err error, beside string) string { return linkerr.Explain(err, beside) }
