package node

import (
	"net/http"
	"net/http/httptest"
	"os"
	"skerry/appliance/httpd"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A route that nobody has thought of wants admin where it is the daemon's own; each of
// the document is known.
func TestRoutesHaveScopes(t *testing.T) {
	of := scopeOf()
	for route, want := range map[string]httpd.Scope{
		"POST /api/v1/restart": httpd.ScopeAdmin, "POST /api/v1/poweroff": httpd.ScopeAdmin, "POST /api/v1/reload": httpd.ScopeAdmin,
		"POST /api/v1/link/retry": httpd.ScopeAdmin, "PUT /api/v1/sessions/x": httpd.ScopeAdmin, "POST /api/v1/new": httpd.ScopeAdmin,
		"GET /api/v1/keys": httpd.ScopeAdmin, "POST /api/v1/status": httpd.ScopeAdmin,
		"GET /api/v1/logs": httpd.ScopeRead, "HEAD /api/v1/logs": httpd.ScopeRead, "GET /api/v1//logs": httpd.ScopeRead, "GET /metrics": httpd.ScopeRead,
		"POST /v1/chat/completions": httpd.ScopeAsk, "POST /v1/new": httpd.ScopeAsk, "POST /api/generate": httpd.ScopeAsk, "POST /ask": httpd.ScopeAsk,
		"POST /api/pull": httpd.ScopeAdmin, "POST /remove": httpd.ScopeAdmin, "POST /forget": httpd.ScopeAsk, "DELETE /api/v1/sessions/x": httpd.ScopeAsk, "POST /api/v1/sessions/x/answer": httpd.ScopeAsk, "POST /api/v1/sessions/x/cancel": httpd.ScopeAsk,
		"POST /chat/completions": httpd.ScopeAsk, "POST /tokenize": httpd.ScopeAsk, "POST /infill": httpd.ScopeAsk, "GET /models": "", "GET /health": "",
		"GET /": "", "GET /readyz": "", "GET /assets/page.css": "", "GET /api/tags": "", "GET /v1/models/a/b": "", "GET /api/v1/sessions/x/export": "",
	} {
		method, path, _ := strings.Cut(route, " ")
		if got := of(httptest.NewRequest(method, path, nil)); got != want {
			t.Errorf("%s wants %q", route, got)
		}
	}
	text, err := os.ReadFile("../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Paths map[string]map[string]any }
	if err := yaml.Unmarshal(text, &doc); err != nil || len(doc.Paths) < 10 {
		t.Fatalf("%d paths, %v", len(doc.Paths), err)
	}
	for path, methods := range doc.Paths {
		for method := range methods {
			mux := http.NewServeMux()
			for pattern := range scopes {
				mux.Handle(pattern, http.NotFoundHandler())
			}
			r := httptest.NewRequest(strings.ToUpper(method), strings.NewReplacer("{", "", "}", "").Replace(path), nil)
			if _, pattern := mux.Handler(r); pattern == "/" && path != "/healthz" && path != "/readyz" {
				t.Errorf("%s %s has no scope of its own", method, path)
			}
		}
	}
}
