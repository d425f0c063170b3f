package library

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
	"skerry/build/testleak"
)

func TestMain(m *testing.M) { testleak.Main(m) }

// open is a library of an empty cache.
func open(t testing.TB, given ...string) *Library {
	t.Helper()
	t.Setenv("SKERRY_CACHE", t.TempDir())
	l, err := Open(given...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// model makes a file of random weights of that seed.
func model(t testing.TB, name string, seed uint64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".gguf")
	if err := synth.Write(t.Context(), "tiny", path, synth.Options{Seed: seed, Type: "q4_0"}); err != nil {
		t.Fatal(err)
	}
	return path
}

// bundleIn splits a model, unchecked, into the directory dir.
func bundleIn(t testing.TB, dir, src string, o split.Options) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := split.Model(t.Context(), src, dir, o); err != nil {
		t.Fatal(err)
	}
}

// hub serves files of owner/repo as a model hub does.
func hub(t testing.TB, files map[string]string) (fetch.Options, *[]string) {
	t.Helper()
	content, asked := map[string][]byte{}, &[]string{}
	for name, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		content[name] = b
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/models/owner/repo" {
			type sibling struct {
				Name string `json:"rfilename"`
			}
			said := map[string]any{"tags": []string{"gguf", "license:mit"}, "siblings": []sibling{{"README.md"}}}
			for name := range content {
				said["siblings"] = append(said["siblings"].([]sibling), sibling{name})
			}
			json.NewEncoder(w).Encode(said)
			return
		}
		name, ok := strings.CutPrefix(r.URL.Path, "/owner/repo/resolve/main/")
		b, there := content[name]
		if !ok || !there {
			http.NotFound(w, r)
			return
		}
		sum := sha256.Sum256(b)
		w.Header().Set("X-Linked-Etag", `"`+hex.EncodeToString(sum[:])+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(b)))
		if r.Method == http.MethodGet {
			*asked = append(*asked, name)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}))
	t.Cleanup(s.Close)
	client := s.Client()
	t.Cleanup(client.CloseIdleConnections)
	return fetch.Options{Hub: s.URL, Client: client, Pause: time.Millisecond}, asked
}

func names(l *Library) (all []string) {
	for _, m := range l.List() {
		all = append(all, m.Name)
	}
	return all
}

func find1(t testing.TB, l *Library, name string) Model {
	t.Helper()
	m, err := l.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
