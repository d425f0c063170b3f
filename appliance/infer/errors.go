package infer

import (
	"fmt"
	"time"
)

// Code of an Error; handlers map it to a status and to each client's own words.
type Code string

// The codes, with their HTTP status.
const (
	BadRequest  Code = "bad_request" // 400, Param says what
	TooLong     Code = "too_long"    // 400: the prompt does not fit the context, or the chat template takes too much for it
	Forbidden   Code = "forbidden"   // 403: the session is another's
	NoModel     Code = "no_model"    // 404: no such model here
	NoSession   Code = "no_session"  // 404
	Conflict    Code = "conflict"    // 409: the session is answering something else
	Busy        Code = "busy"        // 429 with RetryAfter: the queue is full
	Loading     Code = "loading"     // 503 with RetryAfter
	Stopping    Code = "stopping"    // 503 with RetryAfter
	Unavailable Code = "unavailable" // 503: no model can be loaded
	Internal    Code = "internal"    // 500
)

// Error is one that a client gets, in one line that says what to do next.
type Error struct {
	Code       Code
	Param      string // of the request, "" for none
	Message    string
	RetryAfter time.Duration
	// Reason is the part of Message that says what happened, for programs that have words
	// of their own for what to do next; "" where it is all of it.
	Reason string
	// Tokens of the prompt, or how many it has at least, and Context in positions, of TooLong.
	Tokens, Context int
}

func (e *Error) Error() string { return e.Message }

// Errorf makes an Error.
func Errorf(code Code, param, format string, args ...any) *Error {
	return &Error{Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
}

// TooLongErrorf makes an Error for a prompt of so many tokens, or at least as many, that
// does not fit into a context.
func TooLongErrorf(tokens, context int, param, format string, args ...any) *Error {
	e := Errorf(TooLong, param, format, args...)
	e.Tokens, e.Context = tokens, context
	return e
}
