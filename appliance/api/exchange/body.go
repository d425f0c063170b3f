package exchange

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"skerry/appliance/api/fields"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Read reads the request's body into v, a pointer to a struct, and returns which of its
// fields have no effect. Wrong types are BadRequest, and so is a field that the table has as
// refused; with ?strict=1 one that it does not have at all.
func (s *Server) Read(w http.ResponseWriter, r *http.Request, v any, t *fields.Table) ([]infer.Ignored, error) {
	body, err := s.body(w, r)
	if err != nil {
		return nil, err
	}
	if err := Parse(body, v); err != nil {
		return nil, err
	}
	strict, _ := strconv.ParseBool(r.URL.Query().Get("strict"))
	ignored, err := t.Check(body, strict)
	s.noteIgnored(r, ignored)
	return ignored, err
}

// mostNoted fields without effect are put down in the log, each once.
const mostNoted = 500

func (s *Server) noteIgnored(r *http.Request, ignored []infer.Ignored) {
	s.noted.Lock()
	defer s.noted.Unlock()
	for _, one := range ignored {
		key := r.URL.Path + " " + one.Field
		if s.noted.fields[key] || len(s.noted.fields) >= mostNoted {
			continue
		}
		s.noted.fields[key] = true
		s.Log.Info("a field of a request has no effect", "path", Clip(r.URL.Path), "field", one.Field, "why", one.Why)
	}
}

// Decode reads the request's body into v, a pointer to a struct. Fields that v does
// not have are left alone; wrong types are BadRequest.
func (s *Server) Decode(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := s.body(w, r)
	if err != nil {
		return err
	}
	return Parse(body, v)
}

func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, Refusal(http.StatusRequestEntityTooLarge, "request_too_large", "the request is longer than %s: send a shorter one", status.Bytes(large.Limit))
	case err != nil:
		return nil, BadRequest("", "the request's body ends early: %v", err)
	}
	return body, nil
}

// Parse reads JSON into v, a pointer to a struct, as Decode does.
func Parse(body []byte, v any) error {
	if len(body) == 0 {
		return BadRequest("", "the request has no body: send a JSON object")
	}
	err := json.Unmarshal(body, v)
	var wrong *json.UnmarshalTypeError
	var said *infer.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said):
		return said
	case errors.As(err, &wrong):
		// The names of embedded structs are of Go alone.
		param := wrong.Field
		for _, own := range []string{"ollamaCommon.", "common.", "Rarer.", "Thinking.", "messagesRequest.", "ollamaOptions."} {
			param = strings.ReplaceAll(param, own, "")
		}
		if param == "" {
			return BadRequest("", "the request is of type %s: send a JSON object", wrong.Value)
		}
		return BadRequest(Clip(param), "%s must be %s, not %s", Clip(param), typeName(wrong.Type), Clip(wrong.Value))
	}
	return BadRequest("", "the request is not valid JSON: %s", Clip(err.Error()))
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

// Extra is the body's own field "skerry".
type Extra struct {
	Session string         `json:"session"`
	Mode    infer.Mode     `json:"mode"`
	After   *int           `json:"after"` // as infer.Request.After
	Draft   infer.Drafting `json:"draft"`
}

// session of a request, by its header or its body.
func session(r *http.Request, body Extra) (string, error) {
	name := r.Header.Get("X-Skerry-Session")
	if name != "" && body.Session != "" && name != body.Session {
		return "", BadRequest("skerry.session", "the header X-Skerry-Session and skerry.session name two sessions: give one")
	}
	if name == "" {
		name = body.Session
	}
	return name, CheckSession(name)
}

// CheckSession refuses a name that no session may have.
func CheckSession(name string) error {
	if len(name) > 128 || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' || c == '/' }) {
		return BadRequest("skerry.session", "a session's name must be at most 128 visible ASCII characters without a slash")
	}
	return nil
}

// Within checks a number that may be absent.
func Within[T Integer | float32](param string, p *T, lo, hi T) error {
	if p != nil && !(*p >= lo && *p <= hi) {
		return BadRequest(param, "%s is %v: it must be from %v to %v", param, *p, lo, hi)
	}
	return nil
}

// Stops are one string or a list of them.
type Stops []string

func (s *Stops) UnmarshalJSON(b []byte) error {
	var one *string
	if json.Unmarshal(b, &one) == nil {
		if *s = nil; one != nil {
			*s = Stops{*one}
		}
		return nil
	}
	var list []string
	if json.Unmarshal(b, &list) != nil {
		return BadRequest("stop", "stop must be a string or a list of strings")
	}
	*s = list
	return nil
}

// Check returns the stop strings, or why they cannot be.
func (s Stops) Check() ([]string, error) {
	if len(s) > 16 {
		return nil, BadRequest("stop", "stop has %d strings: give at most 16", len(s))
	}
	for _, t := range s {
		if t == "" || len(t) > 1024 {
			return nil, BadRequest("stop", "a stop string must have 1 to 1024 bytes")
		}
	}
	return s, nil
}

// Seed is any 64-bit integer; a negative one is as good as another.
type Seed uint64

func (s *Seed) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	digits, _ := wholeDigits(string(b))
	if n, err := strconv.ParseUint(digits, 10, 64); err == nil {
		*s = Seed(n)
		return nil
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return BadRequest("seed", "seed must be a 64-bit integer, not %s", Clip(valueName(b)))
	}
	*s = Seed(n)
	return nil
}

// Given says whether a field of any type is there and says something.
func Given(raw json.RawMessage) bool { return fields.Given(raw) }

// TopK has 0 for all tokens, for which others have -1 as well.
func TopK(k *Integer) *int {
	if k == nil || *k >= 0 {
		return (*int)(k)
	}
	return new(int)
}

// Value of a field that may be absent.
func Value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
