package exchange

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"skerry/appliance/infer"
)

// Problem is an error on its way to a client: what infer.Error says, and how
// OpenAI's clients classify it.
type Problem struct {
	Said       infer.Error
	Status     int
	Kind, Code string // OpenAI's error type and code
	final      bool   // asking again in a moment would not help
}

func (p *Problem) Error() string { return p.Said.Message }

// kinds of what the backend returns.
var kinds = map[infer.Code]Problem{
	infer.BadRequest:  {Status: 400, Kind: "invalid_request_error"},
	infer.TooLong:     {Status: 400, Kind: "invalid_request_error", Code: "context_length_exceeded"},
	infer.Forbidden:   {Status: 403, Kind: "permission_error", Code: "forbidden"},
	infer.NoModel:     {Status: 404, Kind: "invalid_request_error", Code: "model_not_found"},
	infer.NoSession:   {Status: 404, Kind: "invalid_request_error", Code: "session_not_found"},
	infer.Conflict:    {Status: 409, Kind: "invalid_request_error", Code: "conflict"},
	infer.Busy:        {Status: 429, Kind: "requests", Code: "rate_limit_exceeded"},
	infer.Loading:     {Status: 503, Kind: "server_error", Code: "loading"},
	infer.Stopping:    {Status: 503, Kind: "server_error", Code: "stopping"},
	infer.Unavailable: {Status: 503, Kind: "server_error", Code: "unavailable", final: true},
	infer.Internal:    {Status: 500, Kind: "server_error", Code: "internal"},
}

// ProblemOf is what an error is to a client: one that no rule knows is internal.
func ProblemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var e *infer.Error
	if !errors.As(err, &e) {
		e = infer.Errorf(infer.Internal, "", "%v", err)
	}
	k, ok := kinds[e.Code]
	if !ok {
		k = kinds[infer.Internal]
	}
	k.Said = *e
	return &k
}

// BadRequest is a request that its sender has to change.
func BadRequest(param, format string, args ...any) error {
	return infer.Errorf(infer.BadRequest, param, format, args...)
}

// Refusal is an error of HTTP itself rather than of the answer.
func Refusal(status int, code, format string, args ...any) error {
	return &Problem{
		Said:   infer.Error{Code: infer.BadRequest, Message: fmt.Sprintf(format, args...)},
		Status: status, Kind: "invalid_request_error", Code: code, final: true,
	}
}

// write sends the problem in the shape that s's clients read.
func (p *Problem) write(w http.ResponseWriter, s Shape) {
	if p.Said.RetryAfter > 0 || p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(p.Said.RetryAfter.Seconds())))))
	}
	if p.final && p.Said.RetryAfter == 0 {
		w.Header().Set("X-Should-Retry", "false") // OpenAI's clients repeat every 5xx otherwise
	}
	WriteJSON(w, p.Status, s.Fault(p))
}

// Shape is whose clients are spoken to.
type Shape interface{ Fault(p *Problem) any }
