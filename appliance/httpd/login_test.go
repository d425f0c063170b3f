package httpd

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// browser asks as one without script does: forms and cookies.
func browser(t *testing.T) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: tr}
}

func TestLogin(t *testing.T) {
	var day atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(day.Load()) * 24 * time.Hour) }
	keys, err := OpenKeys(t.TempDir(), clock, quiet)
	if err != nil {
		t.Fatal(err)
	}
	secret := newKey(t, keys, "a.b-phone")
	s := start(t, Options{Keys: keys, Loopback: never, Now: clock, Policy: Policy{}}, whoami)
	b := browser(t)
	post := func(key, next string) *http.Response {
		t.Helper()
		resp, err := b.PostForm(s.url("/login"), url.Values{"key": {key}, "next": {next}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	get := func() int {
		t.Helper()
		resp, err := b.Get(s.url("/"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if resp := post("sk-skerry-wrong", "/x"); resp.StatusCode != 401 || len(resp.Cookies()) != 0 {
		t.Errorf("a wrong key: %d, cookies %v", resp.StatusCode, resp.Cookies())
	}
	if resp := post(" "+secret+"\n", "/x?y=1"); resp.StatusCode != 200 || resp.Request.URL.RequestURI() != "/x?y=1" {
		t.Errorf("the key: %d at %s", resp.StatusCode, resp.Request.URL)
	}
	if get() != 200 {
		t.Error("the cookie is not taken")
	}
	u, _ := url.Parse(s.url("/"))
	cookie := b.Jar.Cookies(u)[0].Value
	for _, bad := range []string{"", "x", "..", strings.Replace(cookie, "phone", "other", 1), cookie[:len(cookie)-1], cookie + "00",
		strings.Replace(cookie, ".1", ".2", 1), secret} {
		if resp, _ := ask(t, "GET", s.url("/"), "", "Cookie: skerry="+bad); resp.StatusCode != 401 {
			t.Errorf("cookie %q: %d", bad, resp.StatusCode)
		}
	}
	if resp, _ := ask(t, "GET", s.url("/"), "", "X-Api-Key: "+cookie); resp.StatusCode != 401 {
		t.Error("a cookie is a key")
	}
	if resp, _ := ask(t, "POST", s.url("/"), "", "Cookie: skerry="+cookie, "Sec-Fetch-Site: cross-site"); resp.StatusCode != 403 {
		t.Errorf("another site writes with the cookie: %d", resp.StatusCode)
	}
	day.Store(29)
	if resp, _ := ask(t, "GET", s.url("/"), "", "Cookie: skerry="+cookie); resp.StatusCode != 200 {
		t.Errorf("after 29 days: %d", resp.StatusCode)
	}
	day.Store(31)
	if resp, _ := ask(t, "GET", s.url("/"), "", "Cookie: skerry="+cookie); resp.StatusCode != 401 {
		t.Errorf("after 31 days: %d", resp.StatusCode)
	}
	day.Store(0)
	if err := keys.Remove("a.b-phone"); err != nil {
		t.Fatal(err)
	}
	newKey(t, keys, "a.b-phone")
	if get() != 401 {
		t.Error("the cookie of a removed key is taken for another of its name")
	}
}

func TestCookieAttributes(t *testing.T) {
	keys := openKeys(t)
	secret := newKey(t, keys, "phone")
	s := start(t, Options{Keys: keys, Loopback: never}, whoami)
	resp, _ := ask(t, "POST", s.url("/login"), url.Values{"key": {secret}, "next": {"//evil.example/"}}.Encode(), "Content-Type: application/x-www-form-urlencoded")
	if c := resp.Cookies(); len(c) != 1 || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode || c[0].Secure {
		t.Errorf("cookies %v", c)
	}
	if got := resp.Header.Get("Location"); resp.StatusCode != 303 || got != "/" {
		t.Errorf("%d to %q", resp.StatusCode, got)
	}
	for next, want := range map[string]string{"": "/", "/a?b": "/a?b", "//e.example": "/", "/\\e.example": "/", "https://e.example": "/", "/\t/e.example": "/", "/login": "/"} {
		if got := localPath(next); got != want {
			t.Errorf("%q leads to %q", next, got)
		}
	}
	if filepath.Base(keys.Path()) != "keys.json" {
		t.Error(keys.Path())
	}
}
