package httpd

import (
	"net/http"
	"strings"
	"testing"
)

// What a browser goes to is refused as a page, whatever it is refused for; what a
// script or a program asks, as JSON.
func TestBrowsersAreRefusedInHTML(t *testing.T) {
	const navigation = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	keys := openKeys(t)
	secret := newKey(t, keys, "laptop")
	lan := start(t, Options{Keys: keys, Loopback: never}, whoami)
	here := start(t, Options{Policy: Policy{Body: 8}}, whoami)
	slow := start(t, Options{Keys: keys, Loopback: never, Policy: Policy{Rate: 0.01, Burst: 1}}, whoami)
	ask(t, "GET", slow.url("/"), "", "X-Api-Key: "+secret)
	for _, c := range []struct {
		name, method string
		server       *Server
		body         string
		headers      []string
		status       int
		says         string
	}{
		{"a form of another site", "POST", here, "", []string{"Origin: http://evil.example"}, 403, "add it to origins in [access]"},
		{"a form that hides where it is from", "POST", here, "", []string{"Origin: null"}, 403, "open this machine&#39;s own page"},
		{"the same over the LAN", "POST", lan, "key=" + secret, []string{"Origin: null"}, 403, "open this machine&#39;s own page"},
		{"another name", "GET", here, "", []string{"Host: evil.example"}, 403, "add the name to hosts"},
		{"too fast", "GET", slow, "", nil, 429, "Try again in "},
		{"too large", "POST", here, strings.Repeat("x", 99), nil, 413, "the limit is 8"},
	} {
		resp, text := ask(t, c.method, c.server.url("/login"), c.body, append(c.headers, navigation)...)
		if resp.StatusCode != c.status || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") || !strings.Contains(text, c.says) ||
			!strings.Contains(text, "<title>Skerry: "+http.StatusText(c.status)+"</title>") {
			t.Errorf("%s: %d %s", c.name, resp.StatusCode, text)
		}
		if resp, text = ask(t, c.method, c.server.url("/login"), c.body, c.headers...); c.status != 429 && (resp.StatusCode != c.status || !strings.HasPrefix(text, `{"error":`)) {
			t.Errorf("%s, by a program: %d %s", c.name, resp.StatusCode, text)
		}
	}
}
