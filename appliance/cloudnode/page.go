package cloudnode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"skerry/appliance/status"
)

// page is what a browser shows of a cloud. It loads nothing and has no script.
var page = template.Must(template.New("page").Funcs(template.FuncMap{"printable": status.Printable}).Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="5">
<title>Skerry cloud</title>
<style>
body { font: 16px/1.4 system-ui, sans-serif; margin: 1rem; color: #1a1a1a; background: #fff }
table { border-collapse: collapse; margin: 0 0 1.5rem; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .2rem 1rem .2rem 0; border-bottom: 1px solid #ccc }
div { overflow-x: auto }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #161616 } th, td { border-color: #444 } }
</style>
</head>
<body>
<h1>Skerry cloud</h1>
<p>{{.Line}}</p>
{{range .Tables}}<div><table>
<thead><tr>{{range .Head}}<th scope="col">{{.}}</th>{{end}}</tr></thead>
<tbody>{{range .Rows}}<tr>{{range .}}<td>{{printable .}}</td>{{end}}</tr>
{{else}}<tr><td colspan="{{len .Head}}">none yet</td></tr>{{end}}</tbody>
</table></div>
{{end}}<p>Also as <a href="/metrics">metrics for Prometheus</a>, and as JSON to whoever accepts that alone.</p>
</body>
</html>
`))

type pageTable struct {
	Head []string
	Rows [][]string
}

// servePage answers with the load: as HTML, as JSON or as text, whichever is asked for.
func servePage(load func() Load) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		l := load()
		h, accept := w.Header(), r.Header.Get("Accept")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Vary", "Accept")
		switch {
		case strings.Contains(accept, "text/html"):
			line, workers, bundles := l.tables(nil, 0)
			boards := [][]string{{"BOARD", "CONNECTIONS", "SESSIONS", "POSITIONS", "ANSWERS", "REFUSED", "TO SEE TO"}}
			for _, d := range l.Devices {
				boards = append(boards, []string{
					d.Device, fmt.Sprint(d.Connections), fmt.Sprint(d.Sessions), fmt.Sprint(d.Rows), fmt.Sprint(d.Answers), fmt.Sprint(d.Refused), d.Trouble,
				})
			}
			var tables []pageTable
			for _, t := range [][][]string{workers, bundles, l.rollouts(), boards} {
				if t == nil {
					continue
				}
				tables = append(tables, pageTable{t[0], t[1:]})
			}
			var b bytes.Buffer
			if err := page.Execute(&b, map[string]any{"Line": line, "Tables": tables}); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			h.Set("Content-Type", "text/html; charset=utf-8")
			h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
			w.Write(b.Bytes())
		case strings.Contains(accept, "application/json"):
			h.Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(l)
		default:
			h.Set("Content-Type", "text/plain; charset=utf-8")
			l.WriteTop(w, nil, 0)
		}
	}
}
