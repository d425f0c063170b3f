package node

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Where Ollama's clients look they are told what they look for; the page is everywhere else.
func TestOllamaRoot(t *testing.T) {
	shown := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("page")) })
	h := ollamaRoot([]string{"127.0.0.1:11434"}, shown)
	for _, one := range []struct {
		method, path string
		port         int
		want         string
	}{
		{"GET", "/", 11434, "Ollama is running"}, {"GET", "/", 7537, "page"}, {"GET", "/x", 11434, "page"}, {"POST", "/", 11434, "page"}, {"GET", "/", 0, "page"},
	} {
		r := httptest.NewRequest(one.method, one.path, nil)
		if one.port > 0 {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: one.port})))
		}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Body.String() != one.want {
			t.Errorf("%s %s on %d: %q", one.method, one.path, one.port, w.Body)
		}
	}
}
