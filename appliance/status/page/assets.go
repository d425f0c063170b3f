package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strconv"
	"time"

	"skerry/appliance/status"
)

//go:embed assets
var files embed.FS

// kinds of the assets that are served; the page's template is not one of them.
var kinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

type asset struct {
	body []byte
	hash string
}

// assets by name, and allAssets the hash of them together.
var assets, allAssets = loadAssets()

func loadAssets() (map[string]asset, string) {
	loaded := map[string]asset{}
	all := sha256.New()
	entries, err := files.ReadDir("assets")
	if err != nil {
		panic(err) // they are embedded
	}
	for _, e := range entries {
		body, err := files.ReadFile("assets/" + e.Name())
		if err != nil {
			panic(err)
		}
		all.Write(body)
		if kinds[path.Ext(e.Name())] != "" {
			sum := sha256.Sum256(body)
			loaded[e.Name()] = asset{body, hex.EncodeToString(sum[:8])}
		}
	}
	return loaded, hex.EncodeToString(all.Sum(nil)[:8])
}

func assetURL(name string) string { return "/assets/" + name + "?v=" + assets[name].hash }

// serveAsset may be kept for ever under its hash, and is asked after without.
func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	a, ok := assets[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kinds[path.Ext(name)])
	w.Header().Set("ETag", strconv.Quote(a.hash))
	w.Header().Set("Cache-Control", "no-cache")
	if r.FormValue("v") == a.hash {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"asset":     assetURL,
	"assets":    func() string { return allAssets },
	"bytes":     sizeText,
	"percent":   status.Percent,
	"millis":    status.Millis,
	"thousands": thousands,
	"plural":    plural,
	"times100":  func(x float64) float64 { return 100 * x },
	"pct":       func(x float64) string { return fmt.Sprintf("%.5g%%", 100*x) },
	"clock":     func(t time.Time) string { return t.UTC().Format("15:04:05") },
	"hhmm":      func(t time.Time) string { return t.UTC().Format("15:04") },
	"date":      func(t time.Time) string { return t.UTC().Format("2 January 2006") },
	"when":      when,
	"short":     func(s string) string { return s[:min(12, len(s))] },
	"title":     title,
	"todo":      todo,
	"together":  together,
	"rows": func(now time.Time, sessions []status.Session) any {
		return struct {
			Now      time.Time
			Sessions []status.Session
		}{now, sessions}
	},
}).ParseFS(files, "assets/page.html"))
