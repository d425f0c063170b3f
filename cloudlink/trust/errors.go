package trust

import (
	"errors"
	"fmt"
)

// Returned for what an operator may have done, each with the way out in the
// error that wraps it.
var (
	ErrCode        = errors.New("this is not an invitation code")
	ErrMistyped    = errors.New("the code is mistyped")
	ErrExpired     = errors.New("the code has expired")
	ErrUsed        = errors.New("the code has been used")
	ErrUnknownCode = errors.New("the cloud does not know this code")
	ErrWithdrawn   = errors.New("the code was withdrawn")
	ErrNoInvite    = errors.New("no open invitation")
	ErrWrongCloud  = errors.New("this is not the cloud that made the code")
	ErrRevoked     = errors.New("the device was revoked")
	ErrNotEnrolled = errors.New("this board is not enrolled")
	ErrNotAllowed  = errors.New("not allowed")
	ErrExists      = errors.New("already there")
	ErrNoAuthority = errors.New("this cloud has no certificates")
	ErrProtocol    = errors.New("enrolment protocol")
	ErrUnknown     = errors.New("unknown device")
)

// status is how a refusal travels.
type status uint32

const (
	statusOK status = iota
	statusExpired
	statusUsed
	statusUnknownCode
	statusRevoked
	statusNotAllowed
	statusProtocol
	statusInternal
	statusUnknownDevice
	statusWithdrawn
)

var statuses = map[status]error{
	statusExpired: ErrExpired, statusUsed: ErrUsed, statusUnknownCode: ErrUnknownCode,
	statusRevoked: ErrRevoked, statusNotAllowed: ErrNotAllowed, statusProtocol: ErrProtocol,
	statusUnknownDevice: ErrUnknown, statusWithdrawn: ErrWithdrawn,
}

// statusOf finds the status of err; an error of no status is the cloud's own
// and its text stays there.
func statusOf(err error) (status, string) {
	if err == nil {
		return statusOK, ""
	}
	for s, target := range statuses {
		if errors.Is(err, target) {
			return s, err.Error()
		}
	}
	return statusInternal, "the cloud failed: its log says why"
}

// remoteError is a refusal by the cloud; its text says what to do.
type remoteError struct {
	status status
	text   string
}

func (e *remoteError) Error() string        { return e.text }
func (e *remoteError) Is(target error) bool { return statuses[e.status] == target }

func refuse(err error, format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{err}, args...)...)
}
