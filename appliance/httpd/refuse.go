package httpd

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
)

// refuse answers an error in the words of who asked: as a page to a browser that goes
// somewhere, as OpenAI's object below /v1/, as Ollama's elsewhere.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	w.Header().Set("Cache-Control", "no-store")
	if wantsPage(r) {
		writePage(w, status, refusalPage, struct{ Title, Message, Retry string }{
			http.StatusText(status), message, w.Header().Get("Retry-After"),
		})
		return
	}
	var v any = map[string]string{"error": message}
	if strings.HasPrefix(r.URL.Path, "/v1/") {
		kind := "invalid_request_error"
		switch status {
		case http.StatusUnauthorized:
			kind = "authentication_error"
		case http.StatusForbidden:
			kind = "permission_error"
		case http.StatusTooManyRequests:
			kind = "rate_limit_error"
		}
		v = map[string]any{"error": map[string]any{"message": message, "type": kind, "param": nil, "code": code}}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// wantsPage says whether a browser asks for something that it will show: scripts and
// programs name no text/html.
func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// writePage answers with a page of a template, which loads nothing.
func writePage(w http.ResponseWriter, status int, t *template.Template, value any) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	w.WriteHeader(status)
	if err := t.Execute(w, value); err != nil {
		fmt.Fprintln(w, "skerry: ", err)
	}
}

// pageHead begins the pages of this package.
const pageHead = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Skerry: {{block "title" .}}{{end}}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 26rem; margin: 15vh auto 0; padding: 0 1rem; overflow-wrap: anywhere }
input, button { font: inherit; padding: .4rem .6rem; width: 100%; box-sizing: border-box; margin-top: .5rem }
code { white-space: nowrap }
</style></head><body><main>
<h1>Skerry</h1>
`

var refusalPage = template.Must(template.New("refusal").Parse(`{{define "title"}}{{.Title}}{{end}}` + pageHead + `
<h2>{{.Title}}</h2>
<p role="alert">{{.Message}}</p>
{{with .Retry}}<p>Try again in {{.}} s.</p>{{end}}
<p><a href="/">To the page</a></p>
</main></body></html>
`))
