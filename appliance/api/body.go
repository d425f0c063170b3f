package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"

	"skerry/appliance/answer"
)

// decode reads the request's body into v, a pointer to a struct. Fields that v does
// not have are left alone, as OpenAI and Ollama do; wrong types are BadRequest.
func (s *server) decode(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return refusal(http.StatusRequestEntityTooLarge, "request_too_large", "the request is longer than %d bytes: send a shorter one", large.Limit)
	case err != nil:
		return bad("", "the request's body ends early: %v", err)
	}
	return parse(body, v)
}

func parse(body []byte, v any) error {
	if len(body) == 0 {
		return bad("", "the request has no body: send a JSON object")
	}
	err := json.Unmarshal(body, v)
	var wrong *json.UnmarshalTypeError
	var said *answer.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said):
		return said
	case errors.As(err, &wrong):
		// The names of embedded structs are of Go alone.
		param := strings.TrimPrefix(strings.TrimPrefix(wrong.Field, "ollamaCommon."), "common.")
		if param == "" {
			return bad("", "the request is of type %s: send a JSON object", wrong.Value)
		}
		return bad(clip(param), "%s must be %s, not %s", clip(param), typeName(wrong.Type), clip(wrong.Value))
	}
	return bad("", "the request is no valid JSON: %s", clip(err.Error()))
}

// typeName of t as JSON has it.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "an integer"
}

// extra is the body's own field "skerry".
type extra struct {
	Session string `json:"session"`
	Mode    string `json:"mode"`
}

// session of a request, by its header or its body.
func session(r *http.Request, body extra) (string, error) {
	name := r.Header.Get("X-Skerry-Session")
	if name != "" && body.Session != "" && name != body.Session {
		return "", bad("skerry.session", "the header X-Skerry-Session and skerry.session name two sessions: give one")
	}
	if name == "" {
		name = body.Session
	}
	return name, checkSession(name)
}

func checkSession(name string) error {
	if len(name) > 128 || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' || c == '/' }) {
		return bad("skerry.session", "a session's name has at most 128 visible ASCII characters and no slash")
	}
	return nil
}

// within checks a number that may be absent.
func within[T int | float32](param string, p *T, lo, hi T) error {
	if p != nil && !(*p >= lo && *p <= hi) {
		return bad(param, "%s is %v: it must be from %v to %v", param, *p, lo, hi)
	}
	return nil
}

// stops are one string or a list of them.
type stops []string

func (s *stops) UnmarshalJSON(b []byte) error {
	var one *string
	if json.Unmarshal(b, &one) == nil {
		if *s = nil; one != nil {
			*s = stops{*one}
		}
		return nil
	}
	var list []string
	if json.Unmarshal(b, &list) != nil {
		return bad("stop", "stop must be a string or a list of strings")
	}
	*s = list
	return nil
}

// check returns the stop strings, or why they cannot be.
func (s stops) check() ([]string, error) {
	if len(s) > 16 {
		return nil, bad("stop", "stop has %d strings: give at most 16", len(s))
	}
	for _, t := range s {
		if t == "" || len(t) > 1024 {
			return nil, bad("stop", "a stop string has 1 to 1024 bytes")
		}
	}
	return s, nil
}

// seed is any 64-bit integer; a negative one is as good as another.
type seed uint64

func (s *seed) UnmarshalJSON(b []byte) error {
	var n int64
	if json.Unmarshal(b, (*uint64)(s)) == nil {
		return nil
	}
	if json.Unmarshal(b, &n) != nil {
		return bad("seed", "seed must be a 64-bit integer")
	}
	*s = seed(n)
	return nil
}

// given says whether a field of any type is there and says something.
func given(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "null", "{}", "[]", `""`, "false":
		return false
	}
	return true
}
