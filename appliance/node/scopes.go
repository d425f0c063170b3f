package node

import (
	"net/http"

	"skerry/appliance/httpd"
	"skerry/appliance/infer"
	"skerry/appliance/status/page"
)

// scopes are what a key must be for, by pattern of http.ServeMux. What belongs to
// somebody (sessions, and of the page and the status what others do) is for any key,
// and shows it its own.
var scopes = map[string]httpd.Scope{
	"/":            "",
	"POST /ask":    httpd.ScopeAsk,
	"POST /answer": httpd.ScopeAsk,
	"POST /stop":   httpd.ScopeAsk,
	"POST /forget": httpd.ScopeAsk,
	"POST /remove": httpd.ScopeAdmin,

	"/v1/":                      httpd.ScopeAsk,
	"GET /v1/models":            "",
	"GET /v1/models/{model...}": "",

	"GET /v1/health": "",

	// The same without /v1, and routes of llama.cpp's server.
	"/models":            "",
	"/models/{model...}": "",
	"/chat/completions":  httpd.ScopeAsk,
	"/completions":       httpd.ScopeAsk,
	"/responses":         httpd.ScopeAsk,
	"/embeddings":        httpd.ScopeAsk,
	"/health":            "",
	"/props":             "",
	"/tokenize":          httpd.ScopeAsk,
	"/detokenize":        httpd.ScopeAsk,
	"/apply-template":    httpd.ScopeAsk,
	"/infill":            httpd.ScopeAsk,

	"/api/":            httpd.ScopeAsk,
	"GET /api/tags":    "",
	"GET /api/ps":      "",
	"GET /api/version": "",
	"POST /api/show":   "",
	"POST /api/pull":   httpd.ScopeAdmin,

	"/api/copy":   httpd.ScopeAdmin,
	"/api/delete": httpd.ScopeAdmin,
	"/api/create": httpd.ScopeAdmin,
	"/api/blobs/": httpd.ScopeAdmin,

	"/api/v1/":                          httpd.ScopeAdmin,
	"GET /api/v1/openapi.json":          "",
	"GET /api/v1/status":                "",
	"GET /api/v1/events":                "",
	"GET /api/v1/logs":                  httpd.ScopeRead,
	"GET /api/v1/config":                httpd.ScopeRead,
	"GET /api/v1/sessions":              "",
	"GET /api/v1/sessions/{id}":         "",
	"GET /api/v1/sessions/{id}/export":  "",
	"GET /api/v1/sessions/{id}/answer":  "",
	"POST /api/v1/sessions/{id}/answer": httpd.ScopeAsk,
	"POST /api/v1/sessions/{id}/cancel": httpd.ScopeAsk,
	"DELETE /api/v1/sessions/{id}":      httpd.ScopeAsk,

	"/metrics":  httpd.ScopeRead,
	"/metrics/": httpd.ScopeRead,
}

// scopeOf finds what a request wants a key to be for.
func scopeOf() func(*http.Request) httpd.Scope {
	mux := http.NewServeMux()
	for pattern := range scopes {
		mux.Handle(pattern, http.NotFoundHandler())
	}
	return func(r *http.Request) httpd.Scope {
		_, pattern := mux.Handler(r)
		return scopes[pattern]
	}
}

// readingBy says whose sessions a caller may look at.
func readingBy(c httpd.Caller) infer.By {
	return infer.By{Owner: c.Key, Every: c.Allows(httpd.ScopeRead)}
}

// actingBy says in whose sessions a caller may ask, and which it may delete.
func actingBy(c httpd.Caller) infer.By {
	return infer.By{Owner: c.Key, Every: c.Allows(httpd.ScopeAdmin)}
}

// byOf is of an API's request.
func byOf(r *http.Request) infer.By {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return readingBy(httpd.CallerOf(r))
	}
	return actingBy(httpd.CallerOf(r))
}

// viewerOf is of a request of the page.
func viewerOf(r *http.Request) page.Viewer {
	c := httpd.CallerOf(r)
	return page.Viewer{Owner: c.Key, Reads: c.Allows(httpd.ScopeRead), Asks: c.Allows(httpd.ScopeAsk), Manages: c.Allows(httpd.ScopeAdmin)}
}

// conversations are the sessions, as the page shows them.
func (n *Node) conversations() *page.Conversations {
	return &page.Conversations{
		Find: func(by infer.By, id string) (page.Conversation, error) {
			c, err := n.core.Conversation(by, id)
			running := c.UnderWay()
			return page.Conversation{ID: id, Owner: c.Owner, Messages: c.Messages, Running: running, Cut: c.Unfinished && !running, Unkept: c.Unkept}, err
		},
		Cancel: n.core.Cancel,
		Delete: n.core.Forget,
		Image:  n.core.SessionImage,
	}
}

func clientOf(r *http.Request) string { return httpd.CallerOf(r).Name() }
