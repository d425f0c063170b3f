package httpd

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a key is for is looked up at each request, whichever way the key comes.
func TestScopes(t *testing.T) {
	keys := openKeys(t)
	secrets := map[string]string{}
	for name, scopes := range map[string][]Scope{"old": nil, "asks": {ScopeAsk}, "reads": {ScopeRead}, "both": {ScopeAsk, ScopeRead}, "owner": {ScopeAdmin}} {
		var err error
		if secrets[name], err = keys.New(name, scopes...); err != nil {
			t.Fatal(err)
		}
	}
	need := func(r *http.Request) Scope { return Scope(strings.Trim(r.URL.Path, "/")) }
	s := start(t, Options{Keys: keys, Loopback: never, Scope: need}, whoami)
	try := func(key, path string) int {
		t.Helper()
		resp, text := ask(t, "POST", s.url(path), "", "Authorization: Bearer "+secrets[key])
		if resp.StatusCode == 403 && (!strings.Contains(text, "skerry key scope "+key) || !strings.Contains(resp.Header.Get("WWW-Authenticate"), `error="insufficient_scope", scope="`)) {
			t.Errorf("%s at %s: %s", key, path, text)
		}
		return resp.StatusCode
	}
	for _, c := range []struct {
		key              string
		ask, read, admin int
	}{
		{"old", 200, 403, 403}, {"asks", 200, 403, 403}, {"reads", 403, 200, 403}, {"both", 200, 200, 403}, {"owner", 200, 200, 200},
	} {
		for path, want := range map[string]int{"/": 200, "/ask": c.ask, "/read": c.read, "/admin": c.admin} {
			if got := try(c.key, path); got != want {
				t.Errorf("%s at %s: %d", c.key, path, got)
			}
		}
	}
	b := browser(t)
	status := func(resp *http.Response, err error) int {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := status(b.PostForm(s.url("/login"), url.Values{"key": {secrets["asks"]}, "next": {"/admin"}})); got != 403 {
		t.Errorf("a browser: %d", got)
	}
	if err := keys.SetScopes("asks", Scopes{ScopeAdmin}); err != nil {
		t.Fatal(err)
	}
	if got := status(b.Get(s.url("/admin"))); got != 200 || try("asks", "/admin") != 200 {
		t.Errorf("after a change: %d", got)
	}
	for _, bad := range []Scopes{nil, {}, {"root"}} {
		if err := keys.SetScopes("asks", bad); err == nil {
			t.Errorf("scopes %q are taken", bad)
		}
	}
	// Loopback and the socket need none.
	here := start(t, Options{Scope: func(*http.Request) Scope { return ScopeAdmin }}, whoami)
	if resp, _ := ask(t, "POST", here.url("/"), ""); resp.StatusCode != 200 {
		t.Errorf("loopback: %d", resp.StatusCode)
	}
}

// A file of before there were scopes opens, loses nothing, and its keys may ask until
// the operator says otherwise.
func TestOldKeyFile(t *testing.T) {
	dir := t.TempDir()
	h := hashOf("sk-skerry-old")
	text, _ := h.MarshalText()
	old := `{"keys":[{"name":"laptop","sha256":"` + string(text) + `","created":"2026-03-01T12:00:00Z","last_used":"2026-03-02"},
{"name":"phone","sha256":"` + strings.Repeat("ab", 32) + `","created":"2026-03-01T12:00:00Z"}]}`
	if err := os.WriteFile(filepath.Join(dir, "keys.json"), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := OpenKeys(dir, time.Now, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // as it is, and written anew with the day of use
		k, ok := keys.Authenticate("sk-skerry-old")
		if !ok || k.Name != "laptop" || k.InForce().String() != "ask" || k.Scopes != nil {
			t.Errorf("%+v, %v", k, ok)
		}
		list, err := keys.List()
		if err != nil || len(list) != 2 || list[1].Name != "phone" || list[0].Created.Year() != 2026 {
			t.Errorf("%+v, %v", list, err)
		}
	}
	if err := keys.SetScopes("phone", Scopes{ScopeAsk, ScopeRead}); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(keys.Path())
	var f struct{ Keys []map[string]any }
	if err := json.Unmarshal(data, &f); err != nil || f.Keys[0]["scopes"] != nil || f.Keys[1]["scopes"] == nil || f.Keys[0]["sha256"] != string(text) {
		t.Errorf("%s, %v", data, err)
	}
	for _, bad := range []string{`["root"]`, `[]`, `"ask"`} {
		if _, err := decodeKeys([]byte(`{"keys":[{"name":"a","sha256":"` + string(text) + `","scopes":` + bad + `}]}`)); err == nil {
			t.Errorf("scopes %s are taken", bad)
		}
	}
	if _, err := ParseScopes("ask, read,ask"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "ask,", "all", "ask read"} {
		if _, err := ParseScopes(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
