package api

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"skerry/appliance/answer"
)

// problem is an error on its way to a client: what answer.Error says, and how
// OpenAI's clients classify it.
type problem struct {
	said       answer.Error
	status     int
	kind, code string // OpenAI's error type and code
	final      bool   // asking again in a moment would not help
}

func (p *problem) Error() string { return p.said.Message }

// kinds of what the backend returns.
var kinds = map[answer.Code]problem{
	answer.BadRequest:  {status: 400, kind: "invalid_request_error"},
	answer.TooLong:     {status: 400, kind: "invalid_request_error", code: "context_length_exceeded"},
	answer.NoModel:     {status: 404, kind: "invalid_request_error", code: "model_not_found"},
	answer.NoSession:   {status: 404, kind: "invalid_request_error", code: "session_not_found"},
	answer.Conflict:    {status: 409, kind: "invalid_request_error", code: "conflict"},
	answer.Busy:        {status: 429, kind: "requests", code: "rate_limit_exceeded"},
	answer.Loading:     {status: 503, kind: "server_error", code: "loading"},
	answer.Stopping:    {status: 503, kind: "server_error", code: "stopping"},
	answer.Unavailable: {status: 503, kind: "server_error", code: "unavailable", final: true},
	answer.Internal:    {status: 500, kind: "server_error", code: "internal"},
}

func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var e *answer.Error
	if !errors.As(err, &e) {
		e = answer.Errorf(answer.Internal, "", "%v", err)
	}
	k, ok := kinds[e.Code]
	if !ok {
		k = kinds[answer.Internal]
	}
	k.said = *e
	return &k
}

// bad is a request that its sender has to change.
func bad(param, format string, args ...any) error {
	return answer.Errorf(answer.BadRequest, param, format, args...)
}

// refusal is an error of HTTP itself rather than of the answer.
func refusal(status int, code, format string, args ...any) error {
	return &problem{
		said:   answer.Error{Code: answer.BadRequest, Message: fmt.Sprintf(format, args...)},
		status: status, kind: "invalid_request_error", code: code, final: true,
	}
}

// write sends the problem in the shape that s's clients read.
func (p *problem) write(w http.ResponseWriter, s shape) {
	if p.said.RetryAfter > 0 || p.status == http.StatusTooManyRequests || p.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(p.said.RetryAfter.Seconds())))))
	}
	if p.final {
		w.Header().Set("X-Should-Retry", "false") // OpenAI's clients repeat every 5xx otherwise
	}
	writeJSON(w, p.status, s.fault(p))
}

// shape is whose clients are spoken to.
type shape interface{ fault(p *problem) any }

type openAI struct{}

func (openAI) fault(p *problem) any {
	return map[string]any{"error": map[string]any{
		"message": p.said.Message, "type": p.kind, "param": orNull(p.said.Param), "code": orNull(p.code),
	}}
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

type ollama struct{}

func (ollama) fault(p *problem) any { return map[string]string{"error": p.said.Message} }
