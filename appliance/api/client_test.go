package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// client asks a server whose every reply has to be as openapi.json says.
type client struct {
	*testing.T
	url string
	doc *openapi3.T
	to  routers.Router
}

var textual = sync.OnceFunc(func() {
	for _, kind := range []string{"text/event-stream", "application/x-ndjson"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.PlainBodyDecoder)
	}
})

// documented is the document of a server, read from it and checked once.
var documented = sync.OnceValues(func() (*openapi3.T, error) {
	w := httptest.NewRecorder()
	New(&fake{}, quietOptions()).ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/openapi.json", nil))
	doc, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

// routed is the document by its routes, of which there are many.
var routed = sync.OnceValues(func() (routers.Router, error) {
	doc, err := documented()
	if err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc)
})

func quietOptions() Options {
	return Options{Version: "v1.2.3", Log: slog.New(slog.DiscardHandler)}
}

func newClient(t *testing.T, f *fake) *client {
	t.Helper()
	textual()
	server := httptest.NewServer(New(f, quietOptions()))
	t.Cleanup(server.Close)
	doc, err := documented()
	if err != nil {
		t.Fatalf("openapi.json: %v", err)
	}
	to, err := routed()
	if err != nil {
		t.Fatal(err)
	}
	return &client{t, server.URL, doc, to}
}

// reply as it was read to its end.
type reply struct {
	*client
	status int
	header http.Header
	body   string
}

func (c *client) post(path, body string, header ...string) reply {
	c.Helper()
	return c.do("POST", path, body, header...)
}

func (c *client) get(path string, header ...string) reply {
	c.Helper()
	return c.do("GET", path, "", header...)
}

func (c *client) request(method, path, body string, header []string) *http.Request {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// do asks, and holds question and reply against the document.
func (c *client) do(method, path, body string, header ...string) reply {
	c.Helper()
	res, err := http.DefaultClient.Do(c.request(method, path, body, header))
	if err != nil {
		c.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.Fatal(err)
	}
	c.conforms(c.request(method, path, body, header), res, text)
	return reply{c, res.StatusCode, res.Header, string(text)}
}

func (c *client) conforms(r *http.Request, res *http.Response, text []byte) {
	c.Helper()
	route, params, err := c.to.FindRoute(r)
	if err != nil {
		if res.StatusCode == http.StatusOK {
			c.Errorf("%s %s is not in openapi.json: %v", r.Method, r.URL.Path, err)
		}
		return
	}
	in := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if res.StatusCode == http.StatusOK {
		if err := openapi3filter.ValidateRequest(c.Context(), in); err != nil {
			c.Errorf("%s %s is answered, and yet: %v", r.Method, r.URL.Path, err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(text)),
	}
	if err := openapi3filter.ValidateResponse(c.Context(), out); err != nil {
		c.Errorf("%s %s: %v\n%s", r.Method, r.URL.Path, err, text)
	}
}

// ok fails the test unless the request was answered.
func (r reply) ok() reply {
	r.Helper()
	if r.status != http.StatusOK {
		r.Fatalf("status %d: %s", r.status, r.body)
	}
	return r
}

// json is the body, or the part of it below the path of keys and indexes.
func (r reply) json(path ...any) any {
	r.Helper()
	return dig(r.T, []byte(r.body), path...)
}

func dig(t *testing.T, text []byte, path ...any) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for _, p := range path {
		switch at := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[at]
		case int:
			l, _ := v.([]any)
			if at >= len(l) {
				t.Fatalf("no %v in %s", path, text)
			}
			v = l[at]
		}
	}
	return v
}

// sse is one server-sent event.
type sse struct{ kind, id, data string }

// events of a stream and its comments; the data of those without a name must be of
// the schema.
func (r reply) events(schema string) (events []sse, comments []string) {
	r.Helper()
	if kind := r.header.Get("Content-Type"); kind != "text/event-stream" {
		r.Fatalf("Content-Type is %q: %s", kind, r.body)
	}
	for block := range strings.SplitSeq(strings.TrimSuffix(r.body, "\n\n"), "\n\n") {
		var e sse
		for line := range strings.SplitSeq(block, "\n") {
			field, value, _ := strings.Cut(line, ": ")
			switch field {
			case "":
				comments = append(comments, value)
			case "event":
				e.kind = value
			case "id":
				e.id = value
			case "data":
				e.data = value
			default:
				r.Errorf("line %q of an event stream", line)
			}
		}
		if e.data == "" {
			continue
		}
		events = append(events, e)
		if e.data != "[DONE]" && e.kind == "" {
			r.is(schema, e.data)
		}
	}
	return events, comments
}

// lines of a stream of JSON, each of the schema.
func (r reply) lines(schema string) (lines []string) {
	r.Helper()
	if kind := r.header.Get("Content-Type"); kind != "application/x-ndjson" {
		r.Fatalf("Content-Type is %q: %s", kind, r.body)
	}
	for line := range strings.Lines(r.body) {
		r.is(schema, line)
		lines = append(lines, line)
	}
	return lines
}

func (r reply) is(schema, text string) {
	r.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		r.Fatalf("%v in %s", err, text)
	}
	if err := r.doc.Components.Schemas[schema].Value.VisitJSON(v); err != nil {
		r.Errorf("%s is no %s: %v", text, schema, err)
	}
}
