package cloudlink

import (
	"errors"
	"fmt"

	"github.com/quic-go/quic-go"

	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
)

// ErrMayNot is returned before anything is sent that this board was enrolled
// not to send.
var ErrMayNot = errors.New("the cloud may not see this")

// allows checks what a session would send against what the cloud may see.
func (c Config) allows(tokens bool) error {
	switch {
	case c.May == trust.Nothing:
		return fmt.Errorf("%w: this board was enrolled to send nothing (enroll it again with --may hidden or text)", ErrMayNot)
	case tokens && c.May == trust.Hidden:
		return fmt.Errorf("%w: this board was enrolled to send hidden states but no tokens (enroll it again with --may text)", ErrMayNot)
	}
	return nil
}

// denied returns err as the refusal of this device where the cloud closed the
// connection for that.
func denied(err error) (*RemoteError, bool) {
	var code uint64
	var reason string
	var q *quic.ApplicationError
	var c *closedError
	switch {
	case errors.As(err, &q) && q.Remote:
		code, reason = uint64(q.ErrorCode), q.ErrorMessage
	case errors.As(err, &c):
		code, reason = c.Closed()
	}
	if code != CodeDenied {
		return nil, false
	}
	return &RemoteError{Code: wire.CodeUnauthorized, Text: reason}, true
}
