package anthropic

import "skerry/appliance/api/exchange"

// Shape is that of the Messages API.
type Shape struct{}

// kinds of errors by status.
var kinds = map[int]string{
	401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
	500: "api_error", 501: "api_error", 503: "overloaded_error",
}

// Fault is an error as the API's clients read it.
func (Shape) Fault(p *exchange.Problem) any {
	kind, ok := kinds[p.Status]
	if !ok {
		kind = "invalid_request_error"
	}
	message := p.Said.Message
	if p.Said.Context > 0 {
		message = "prompt is too long: " + message // by which clients know that they are to shorten it
	}
	return map[string]any{"type": "error", "error": map[string]any{"type": kind, "message": message}}
}
