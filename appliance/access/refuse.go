package access

import (
	"encoding/json"
	"net/http"
	"strings"
)

// refuse answers an error in the words of the API that was asked: OpenAI's object
// below /v1/, Ollama's elsewhere.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	var v any = map[string]string{"error": message}
	if strings.HasPrefix(r.URL.Path, "/v1/") {
		kind := "invalid_request_error"
		switch status {
		case http.StatusUnauthorized:
			kind = "authentication_error"
		case http.StatusTooManyRequests:
			kind = "rate_limit_error"
		}
		v = map[string]any{"error": map[string]any{"message": message, "type": kind, "param": nil, "code": code}}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
