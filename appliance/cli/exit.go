package cli

import "fmt"

// Exit codes.
const (
	ExitOK       = 0
	ExitError    = 1
	ExitUsage    = 2
	ExitDaemon   = 3 // the daemon is not reachable
	ExitDegraded = 4 // there is an answer, but not all is well: the cloud was lost, say
)

// CodeError is an error that knows the exit code of the program. Without an Err, everything
// has been said already.
type CodeError struct {
	Code int
	Err  error
}

func (e *CodeError) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

// Unwrap returns the error without its code.
func (e *CodeError) Unwrap() error { return e.Err }

// Usagef is an error in the command line: the program ends with ExitUsage.
func Usagef(format string, args ...any) error {
	return &CodeError{ExitUsage, fmt.Errorf(format, args...)}
}
