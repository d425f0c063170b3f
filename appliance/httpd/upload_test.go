package httpd

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A file that is uploaded may be larger than a request, and nothing else.
func TestUploads(t *testing.T) {
	var got int
	g, err := New(Options{Policy: Policy{Body: 10}, Keys: nil, Uploads: func(r *http.Request) bool { return r.URL.Path == "/file" }},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			got = len(b)
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	over := context.WithValue(t.Context(), connKey{}, newGate(8, 0, time.Minute, time.Now).admit(ours, Loopback))
	for path, want := range map[string]int{"/file": http.StatusOK, "/other": http.StatusRequestEntityTooLarge} {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(strings.Repeat("x", 1000)))
		r = r.WithContext(over)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		got = 0
		g.ServeHTTP(w, r)
		if w.Code != want || want == http.StatusOK && got != 1000 {
			t.Errorf("%s: %d, %d bytes", path, w.Code, got)
		}
	}
}
