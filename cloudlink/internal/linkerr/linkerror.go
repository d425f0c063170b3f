package linkerr

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// Error is what went wrong with one cloud: a dial, or a connection that ended.
type Error struct {
	Addr string // of the cloud, host:port
	Lost bool   // there is no connection: the error matches ErrLost
	Err  error  // why
}

func (e *Error) Error() string {
	if e.Lost {
		return fmt.Sprintf("cloud %s: %v: %v", e.Addr, ErrLost, e.Err)
	}
	return fmt.Sprintf("cloud %s: %v", e.Addr, e.Err)
}

// Is matches ErrLost.
func (e *Error) Is(target error) bool { return e.Lost && target == ErrLost }

func (e *Error) Unwrap() error { return e.Err }

// Lost is the loss of the connection to a cloud because of err.
func Lost(addr string, err error) error { return &Error{addr, true, err} }

// At names the cloud that err is of.
func At(addr string, err error) error { return &Error{addr, false, err} }

// UntrustedError says that one side does not trust the other's certificate, as where
// they come from two authorities or one has expired. It matches ErrUnauthorized.
type UntrustedError struct{ Err error }

func (e *UntrustedError) Error() string {
	return fmt.Sprintf("%v: %v (do both use certificates of one CA?)", ErrUnauthorized, e.Err)
}

// Is matches ErrUnauthorized.
func (e *UntrustedError) Is(target error) bool { return target == ErrUnauthorized }

func (e *UntrustedError) Unwrap() error { return e.Err }

// OfConnection is why a connection to addr ended or was not made, with what it says
// of the two sides' trust.
func OfConnection(addr string, err error) error {
	if refused, ok := denied(err); ok {
		return At(addr, refused)
	}
	if transport.IsUntrusted(err) {
		return At(addr, &UntrustedError{err})
	}
	return Lost(addr, err)
}

// denied returns err as the refusal of this device where the cloud closed the
// connection for that.
func denied(err error) (*RemoteError, bool) {
	switch code, reason, _ := transport.ClosedBy(err); code {
	case transport.CodeDenied, transport.CodeRevoked:
		return &RemoteError{Code: wire.CodeUnauthorized, Text: reason, Revoked: code == transport.CodeRevoked}, true
	}
	return nil, false
}

// IsPermanent reports whether dialling again can not help until somebody changes
// something on either side: one does not trust the other, or they speak no common
// protocol.
func IsPermanent(err error) bool {
	return errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrProtocol)
}

// IsStaleEpoch reports whether the cloud has seen a higher epoch of this device than it
// was given: the client has jumped past it, so that the next dial is let in.
func IsStaleEpoch(err error) bool {
	var r *RemoteError
	return errors.As(err, &r) && r.Code == wire.CodeStale && r.Epoch > 0
}

// dialErrors are the errors of dials beside one another: by two transports, or to
// several addresses.
type dialErrors []error

func (e dialErrors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e dialErrors) Unwrap() []error { return e }

// OfDials is the error of dials that failed, nil for none.
func OfDials(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return dialErrors(errs)
}

// OfAddresses is the error of dials to several addresses. A machine at one of them
// whose certificate is not trusted may be a stranger's, so that dialling again
// helps unless it is so at all of them.
func OfAddresses(errs []error) error {
	errs = slices.Clone(errs)
	if some := slices.ContainsFunc(errs, func(err error) bool { return !IsPermanent(err) }); some {
		for i, err := range errs {
			if e := new(Error); IsPermanent(err) && errors.As(err, &e) {
				errs[i] = Lost(e.Addr, errors.New(e.Err.Error())) // no longer what it wraps
			}
		}
	}
	return OfDials(errs)
}

// Explain says in one line what went wrong with a link, for people: every cause once,
// without that the connection is lost, which whoever shows it says beside it. A cause
// at another address of the cloud than the one that is shown beside it names that.
func Explain(err error, beside string) string {
	var causes []string
	var walk func(addr string, err error)
	walk = func(addr string, err error) {
		switch e := err.(type) {
		case nil:
		case dialErrors:
			for _, err := range e {
				walk(addr, err)
			}
		case *Error:
			walk(cmp.Or(e.Addr, addr), e.Err)
		default:
			text := strings.Join(strings.Fields(err.Error()), " ")
			if addr != "" && addr != beside {
				text = addr + ": " + text
			}
			if !slices.Contains(causes, text) {
				causes = append(causes, text)
			}
		}
	}
	walk("", err)
	return strings.Join(causes, "; ")
}
