package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"skerry/appliance/api/clienttest"
)

var listeningOn = regexp.MustCompile(`listening on (http://[^/\s]+)/`)

// url is where the daemon listens, once its model is loaded.
func (s *serving) url(t *testing.T) string {
	t.Helper()
	awaitReady(t, s.socket)
	return listeningOn.FindStringSubmatch(s.stdout.String())[1]
}

func getJSON(t *testing.T, url string, v any) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(v); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, r.Status, err)
	}
}

// TestServeClients has OpenAI's and Ollama's python packages talk to the daemon and
// the default model.
func TestServeClients(t *testing.T) {
	if testing.Short() {
		t.Skip("some minutes of decoding")
	}
	t.Setenv("SKERRY_QUEUE", "8")
	url := startServing(t, bundleDir(t), t.TempDir(), "--mode", "unsplit", "--context", "4096", "--parallel", "4").url(t)
	var models struct{ Data []struct{ ID string } }
	getJSON(t, url+"/v1/models", &models)
	if len(models.Data) == 0 {
		t.Fatal("there is no model")
	}
	clienttest.Run(t, url, models.Data[0].ID)
}

// TestServeOpenAPI asks the daemon for all that openapi.json says can be read, and
// holds the replies against it.
func TestServeOpenAPI(t *testing.T) {
	url := startServing(t, tinyBundle(t), t.TempDir()).url(t)
	var text json.RawMessage
	getJSON(t, url+"/api/v1/openapi.json", &text)
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for path, item := range doc.Paths.Map() {
		if item.Get == nil || strings.Contains(path, "{") {
			continue
		}
		read++
		conforms(t, router, url+path)
	}
	if read < 10 {
		t.Errorf("%d paths can be read", read)
	}
}

// conforms fails the test unless a GET of the URL is answered as the document has it.
func conforms(t *testing.T, router routers.Router, url string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Accept", "application/json, text/event-stream")
	route, params, err := router.FindRoute(q)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	in := &openapi3filter.RequestValidationInput{Request: q, PathParams: params, Route: route}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: r.StatusCode, Header: r.Header, Body: r.Body}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") { // of which there is no end
		out.Options = &openapi3filter.Options{ExcludeResponseBody: true}
	}
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %s, %v", url, r.Status, err)
	}
}
