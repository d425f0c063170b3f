package httpd

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzKeyFile feeds damaged key files. What is accepted writes and reads back the
// same.
func FuzzKeyFile(f *testing.F) {
	good, err := encodeKeys([]Key{{Name: "laptop", Hash: hashOf("x"), Created: time.Unix(1e9, 0).UTC(), Used: "2026-01-02"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	for _, s := range []string{"", "{}", "null", `{"keys":[{}]}`, `{"keys":[{"name":"a","sha256":""}]}`, `{"keys":null}`, `[1]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := decodeKeys(data)
		if err != nil {
			return
		}
		for _, k := range keys {
			if CheckName(k.Name) != nil || k.Hash == (digest{}) {
				t.Errorf("key %+v", k)
			}
		}
		first, err := encodeKeys(keys)
		if err != nil {
			t.Skip("a time that JSON does not have")
		}
		again, err := decodeKeys(first)
		if err != nil {
			t.Fatalf("%v, in %s", err, first)
		}
		if second, _ := encodeKeys(again); !bytes.Equal(first, second) {
			t.Errorf("%s\nbecomes\n%s", first, second)
		}
	})
}

// FuzzStranger asks over the LAN with whatever a stranger may send, and never gets
// past the guard; the same over loopback under a foreign name.
func FuzzStranger(f *testing.F) {
	keys, err := OpenKeys(f.TempDir(), time.Now, quiet)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := keys.New("laptop"); err != nil {
		f.Fatal(err)
	}
	passed := false
	g, err := New(Options{Keys: keys, Log: quiet, Policy: Policy{Origins: []string{"http://app.example"}}},
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true }))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("GET", "/v1/models", "Bearer x", "laptop.99999999999.00", "http://evil.example", "key=x&next=//e")
	f.Add("POST", "/login", "Basic Og==", "..", "null", "key=%zz")
	f.Add("GET", "/healthz/../x", "", "", "", "")
	f.Add("OPTIONS", "/", "bearer", "a.b", "http://app.example", "")
	f.Fuzz(func(t *testing.T, method, path, authorization, cookie, origin, form string) {
		r, err := http.NewRequest(method, "http://board.example"+path, strings.NewReader(form))
		if err != nil || r.URL.Path == "/healthz" {
			return
		}
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Api-Key", authorization)
		r.Header.Set("Cookie", cookieName+"="+cookie)
		r.Header.Set("Origin", origin)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		passed = false
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if passed {
			t.Errorf("a stranger is let in: %s %q, %q, cookie %q, origin %q", method, path, authorization, cookie, origin)
		}
		if to := w.Header().Get("Location"); to != "" {
			t.Errorf("a stranger is sent to %q", to)
		}
		if w.Code >= 500 {
			t.Errorf("%d", w.Code)
		}
	})
}

// FuzzHost looks for names that are taken for this machine's, and are none.
func FuzzHost(f *testing.F) {
	p, err := newPolicy(Policy{}, time.Now)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"localhost", "localhost:1", "[::1]:2", "127.0.0.1.example", "evil.example", "localhost.evil.example", ".localhost", "::1%lo"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		// A name that DNS could hold, below a domain of a stranger's.
		host := name + ".evil.example"
		if p.ours(host) || p.ours(host+":7537") || p.ours(host+".") {
			t.Errorf("%q is taken for this machine", host)
		}
		p.ours(name)
		if to := localPath(name); !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, "/\\") {
			t.Errorf("a form leads to %q", to)
		}
	})
}
