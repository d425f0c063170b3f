package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/infer"
)

// shelf is a library that notes what is asked of it.
type shelf struct {
	said  []string
	blobs map[string]string
}

func (s *shelf) note(format string, args ...any) error {
	s.said = append(s.said, fmt.Sprintf(format, args...))
	if strings.Contains(s.said[len(s.said)-1], "nope") {
		return infer.Errorf(infer.NoModel, "model", `model "nope" not found`)
	}
	return nil
}

func (s *shelf) Delete(_ context.Context, name string) error {
	if name == "busy" {
		return infer.Errorf(infer.Conflict, "model", "busy is in use")
	}
	return s.note("delete %s", name)
}

func (s *shelf) Copy(_ context.Context, from, to string) error { return s.note("copy %s %s", from, to) }

func (s *shelf) Create(_ context.Context, c infer.Creation, progress func(infer.Progress)) error {
	progress(infer.Progress{What: "split", Done: 50, Total: 100})
	return s.note("create %+v", c)
}

func (s *shelf) HasBlob(digest string) (bool, error) { return s.blobs[digest] != "", nil }

func (s *shelf) PutBlob(_ context.Context, digest string, size int64, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if int64(len(b)) != size {
		return infer.Errorf(infer.BadRequest, "digest", "%d bytes came, and %d were announced", len(b), size)
	}
	s.blobs[digest] = string(b)
	return nil
}

func newLibraryClient(t *testing.T, l infer.Library) *client {
	t.Helper()
	textual()
	o := quietOptions()
	o.Library, o.MaxBody = l, 1000
	server := httptest.NewServer(New(&fake{}, o))
	t.Cleanup(server.Close)
	doc, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	to, err := routed()
	if err != nil {
		t.Fatal(err)
	}
	return &client{t, server.URL, doc, to}
}

func TestModelsAreChanged(t *testing.T) {
	l := &shelf{blobs: map[string]string{}}
	c := newLibraryClient(t, l)
	digest := "sha256:" + strings.Repeat("ab", 32)
	for _, ask := range []struct {
		method, path, body string
		status             int
		said               string // to the library, or by the reply
	}{
		{"POST", "/api/copy", `{"source": "a", "destination": "b:c"}`, 200, "copy a b:c"},
		{"POST", "/api/copy", `{"source": "nope", "destination": "b"}`, 404, `{"error":"model \"nope\" not found"}`},
		{"POST", "/api/copy", `{"source": "a"}`, 400, "destination is required"},
		{"DELETE", "/api/delete", `{"model": "a"}`, 200, "delete a"},
		{"DELETE", "/api/delete", `{"name": "nope"}`, 404, "not found"},
		{"DELETE", "/api/delete", `{"name": "busy"}`, 409, "in use"},
		{"DELETE", "/api/delete", `{}`, 400, "model is required"},
		{"POST", "/api/delete", `{"model": "a"}`, 405, "send DELETE"},
		{"POST", "/api/create", `{"model": "x", "from": "a", "stream": false}`, 200, "create {Name:x From:a Digest: File: Quantize: NoDraft:false Projector:}"},
		{"POST", "/api/create", `{"model": "x", "files": {"m.gguf": "` + digest + `"}, "quantize": "q8_0", "system": "", "parameters": {}}`, 200, "create {Name:x From: Digest:" + digest + " File:m.gguf Quantize:q8_0 NoDraft:false Projector:}"},
		{"POST", "/api/create", `{"model": "x", "files": {"m.gguf": "` + digest + `", "sub/MMPROJ-f16.gguf": "sha256:p"}}`, 200, "create {Name:x From: Digest:" + digest + " File:m.gguf Quantize: NoDraft:false Projector:sha256:p}"},
		{"POST", "/api/create", `{"model": "x", "files": {"mmproj.gguf": "sha256:p"}}`, 400, "one beside it by which it reads images"},
		{"POST", "/api/create", `{"model": "x", "from": "nope", "stream": false}`, 404, "not found"},
		{"POST", "/api/create", `{"model": "x", "from": "a", "system": "be brief"}`, 400, "not made with system"},
		{"POST", "/api/create", `{"model": "x", "from": "a", "parameters": {"temperature": 1}}`, 400, "not made with parameters"},
		{"POST", "/api/create", `{"model": "x"}`, 400, "give from"},
		{"POST", "/api/create", `{"from": "a"}`, 400, "model is required"},
		{"POST", "/api/create", `{"model": "x", "files": {"a": "b", "c": "d"}}`, 400, "one GGUF"},
		{"POST", "/api/create", `{"model": "x", "from": "a", "files": {"a": "b"}}`, 400, "not both"},
	} {
		l.said = nil
		r := c.do(ask.method, ask.path, ask.body)
		if r.status != ask.status || !slices.Contains(l.said, ask.said) && !strings.Contains(r.body, ask.said) {
			t.Errorf("%s %s %s: %d %s, %q", ask.method, ask.path, ask.body, r.status, r.body, l.said)
		}
	}
	lines := c.post("/api/create", `{"model": "x", "from": "a"}`).ok().lines("PullProgress")
	if n := len(lines); n != 2 || dig(t, []byte(lines[0]), "completed") != 50.0 || dig(t, []byte(lines[1]), "status") != "success" {
		t.Errorf("%q", lines)
	}

	// A file may be larger than a request.
	text := strings.Repeat("x", 5000)
	for _, want := range []struct {
		method, body string
		status       int
	}{{"HEAD", "", 404}, {"POST", text, 201}, {"HEAD", "", 200}} {
		r, err := http.NewRequestWithContext(t.Context(), want.method, c.url+"/api/blobs/"+digest, bytes.NewReader([]byte(want.body)))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want.status {
			t.Errorf("%s: %s", want.method, res.Status)
		}
	}
	if l.blobs[digest] != text {
		t.Errorf("%d bytes were taken in", len(l.blobs[digest]))
	}
}

func FuzzCreate(f *testing.F) {
	f.Add("x", "a", "m.gguf", "sha256:00", `"be brief"`)
	f.Fuzz(func(t *testing.T, model, from, file, digest, system string) {
		body := fmt.Sprintf(`{"model": %q, "from": %q, "files": {%q: %q}, "system": %s}`, model, from, file, digest, system)
		l := &shelf{blobs: map[string]string{}}
		o := quietOptions()
		o.Library = l
		w := httptest.NewRecorder()
		New(&fake{}, o).ServeHTTP(w, httptest.NewRequest("POST", "/api/create", strings.NewReader(body)))
		if w.Code == http.StatusInternalServerError {
			t.Errorf("%s: %s", body, w.Body)
		}
	})
}
