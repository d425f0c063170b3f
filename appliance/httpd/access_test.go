package httpd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/build/testleak"
)

func TestMain(m *testing.M) { testleak.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

// never is a Loopback that takes every listener for one of the LAN's.
func never(net.Addr) bool { return false }

func openKeys(t *testing.T) *Keys {
	t.Helper()
	k, err := OpenKeys(t.TempDir(), time.Now, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newKey(t *testing.T, k *Keys, name string) string {
	t.Helper()
	secret, err := k.New(name)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// whoami answers with who the guard says asks, and reads the body.
func whoami(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c := CallerOf(r)
	fmt.Fprintf(w, "%s %s %d", c.Via, c.Name(), n)
}

// start serves on a port of its own until the test ends.
func start(t *testing.T, o Options, next http.HandlerFunc) *Server {
	t.Helper()
	if o.Listen == nil && o.Inherited == nil && o.Socket == "" {
		o.Listen = []string{"127.0.0.1:0"}
	}
	if o.Log == nil {
		o.Log = quiet
	}
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx, next) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return s
}

func (s *Server) url(path string) string { return "http://" + s.Addrs()[0].String() + path }

// ask makes one request over a connection of its own; headers are "Name: value".
func ask(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if r.Header.Set(name, value); name == "Host" {
			r.Host = value
		}
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func TestLANWantsKey(t *testing.T) {
	keys := openKeys(t)
	secret := newKey(t, keys, "laptop")
	s := start(t, Options{Keys: keys, Loopback: never}, whoami)
	for _, c := range []struct {
		name, path string
		headers    []string
		status     int
		says       string
	}{
		{"none", "/v1/models", nil, 401, `"code":"missing_api_key"`},
		{"none, Ollama", "/api/tags", nil, 401, `{"error":"an API key is wanted`},
		{"bearer", "/v1/models", []string{"Authorization: Bearer " + secret}, 200, "lan laptop"},
		{"bearer, in lower case", "/v1/models", []string{"Authorization: bearer " + secret}, 200, "lan laptop"},
		{"header", "/v1/models", []string{"X-Api-Key: " + secret}, 200, "lan laptop"},
		{"in the address", "/v1/models?key=" + secret, nil, 401, "missing_api_key"},
		{"wrong", "/v1/models", []string{"Authorization: Bearer " + secret + "x"}, 401, `"code":"invalid_api_key","message":"this API key is unknown`},
		{"empty", "/v1/models", []string{"Authorization: Bearer "}, 401, "missing_api_key"},
		{"its hash", "/v1/models", []string{"X-Api-Key: " + fmt.Sprintf("%x", hashOf(secret))}, 401, "invalid_api_key"},
		{"health", "/healthz", nil, 200, "lan 127.0.0.1"},
		{"health, by a longer way", "//healthz", nil, 401, ""},
		{"readiness", "/readyz", nil, 401, ""},
		{"a browser", "/sessions?x=1", []string{"Accept: text/html,*/*"}, 401, `name="next" value="/sessions?x=1"`},
		{"a page of another origin", "/v1/models", []string{"Authorization: Bearer " + secret, "Origin: http://evil.example"}, 200, "lan laptop"},
	} {
		resp, text := ask(t, "GET", s.url(c.path), "", c.headers...)
		if resp.StatusCode != c.status || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d %s", c.name, resp.StatusCode, text)
		}
	}
	r, _ := http.NewRequest("GET", s.url("/metrics"), nil)
	r.SetBasicAuth("prometheus", secret)
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("basic: %v %v", resp, err)
	}
	resp.Body.Close()
	if resp, _ := ask(t, "POST", s.url("/healthz"), ""); resp.StatusCode != 401 {
		t.Errorf("POST /healthz without a key: %d", resp.StatusCode)
	}
	if resp, _ := ask(t, "POST", s.url("/v1/models"), "", "Authorization: Bearer "+secret, "Sec-Fetch-Site: cross-site"); resp.StatusCode != 403 {
		t.Errorf("a write for another site: %d", resp.StatusCode)
	}
}

// Another process makes and removes keys; the server knows at the next request.
func TestKeyRotation(t *testing.T) {
	keys := openKeys(t)
	old := newKey(t, keys, "laptop")
	s := start(t, Options{Keys: keys, Loopback: never}, whoami)
	status := func(secret string) int {
		resp, _ := ask(t, "GET", s.url("/"), "", "X-Api-Key: "+secret)
		return resp.StatusCode
	}
	if status(old) != 200 {
		t.Fatal("the first key is refused")
	}
	other, err := OpenKeys(filepath.Dir(keys.Path()), time.Now, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Remove("laptop"); err != nil {
		t.Fatal(err)
	}
	now := newKey(t, other, "laptop")
	if a, b := status(old), status(now); a != 401 || b != 200 {
		t.Errorf("after the rotation the old key gets %d, the new one %d", a, b)
	}
	if err := os.Remove(keys.Path()); err != nil {
		t.Fatal(err)
	}
	if got := status(now); got != 401 {
		t.Errorf("without any keys: %d", got)
	}
}

func TestRefusesLANWithoutKey(t *testing.T) {
	keys := openKeys(t)
	for _, o := range []Options{
		{Listen: []string{"0.0.0.0:0"}, Keys: keys},
		{Listen: []string{"127.0.0.1:0", ":0"}, Keys: keys},
		{OllamaListen: []string{"[::]:0"}, Keys: keys},
		{Listen: []string{"127.0.0.1:0"}, Loopback: never, Keys: keys},
	} {
		o.Log = quiet
		s, err := Listen(o)
		if err == nil || !strings.Contains(err.Error(), "skerry key new NAME") {
			t.Errorf("%v %v: %v", o.Listen, o.OllamaListen, err)
		}
		if s != nil {
			s.closeListeners()
		}
	}
	newKey(t, keys, "a")
	s, err := Listen(Options{Listen: []string{"0.0.0.0:0"}, Keys: keys, Log: quiet})
	if err != nil {
		t.Fatalf("with a key: %v", err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestLoopback(t *testing.T) {
	s := start(t, Options{Policy: Policy{
		Origins: []string{"http://app.example:3000", "chrome-extension://*", "app://obsidian.md", "https://*.example.org"}, Hosts: []string{"proxy.example", "*.proxies.example"},
	}}, whoami)
	host := s.Addrs()[0].String()
	_, port, _ := net.SplitHostPort(host)
	for _, c := range []struct {
		name, method string
		headers      []string
		status       int
	}{
		{"no key", "GET", nil, 200},
		{"a write by a program", "POST", nil, 200},
		{"localhost", "POST", []string{"Host: localhost:" + port}, 200},
		{"a name below it", "POST", []string{"Host: skerry.localhost"}, 200},
		{"by its address", "GET", []string{"Host: [::1]:80"}, 200},
		{"a proxy's name", "GET", []string{"Host: Proxy.Example"}, 200},
		{"rebound", "GET", []string{"Host: evil.example:" + port}, 403},
		{"rebound, a write", "POST", []string{"Host: evil.example:" + port, "Origin: http://evil.example:" + port, "Sec-Fetch-Site: same-origin"}, 403},
		{"like an address", "GET", []string{"Host: 127.0.0.1.evil.example"}, 403},
		{"like localhost", "GET", []string{"Host: evillocalhost"}, 403},
		{"the page itself", "POST", []string{"Origin: http://" + host, "Sec-Fetch-Site: same-origin"}, 200},
		{"another site", "POST", []string{"Origin: http://evil.example", "Sec-Fetch-Site: cross-site"}, 403},
		{"another site, old browser", "POST", []string{"Origin: http://evil.example"}, 403},
		{"another port here", "POST", []string{"Origin: http://127.0.0.1:1", "Sec-Fetch-Site: same-site"}, 403},
		{"a sandboxed frame", "POST", []string{"Origin: null"}, 403},
		{"another site deletes", "DELETE", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"another site reads", "GET", []string{"Origin: http://evil.example", "Sec-Fetch-Site: cross-site"}, 200}, // which its browser does not show it
		{"an allowed application", "POST", []string{"Origin: http://app.example:3000", "Sec-Fetch-Site: cross-site"}, 200},
		{"an allowed extension", "POST", []string{"Origin: chrome-extension://abc", "Sec-Fetch-Site: cross-site"}, 200},
		{"an allowed app, old browser", "POST", []string{"Origin: app://obsidian.md"}, 200},
		{"another extension", "POST", []string{"Origin: moz-extension://abc", "Sec-Fetch-Site: cross-site"}, 403},
		{"an allowed name below", "POST", []string{"Origin: https://a.b.example.org", "Sec-Fetch-Site: cross-site"}, 200},
		{"the name itself", "POST", []string{"Origin: https://example.org", "Sec-Fetch-Site: cross-site"}, 403},
		{"a name below a host's", "GET", []string{"Host: a.proxies.example:80"}, 200},
	} {
		resp, text := ask(t, c.method, s.url("/v1/x"), "", c.headers...)
		if resp.StatusCode != c.status {
			t.Errorf("%s: %d %s", c.name, resp.StatusCode, text)
		}
		allowed := resp.Header.Get("Access-Control-Allow-Origin")
		if want := strings.HasPrefix(c.name, "an allowed"); (allowed != "") != want {
			t.Errorf("%s: Access-Control-Allow-Origin is %q", c.name, allowed)
		}
	}
}

func TestCORS(t *testing.T) {
	s := start(t, Options{Policy: Policy{Origins: []string{"http://app.example:3000"}}}, whoami)
	preflight := func(origin string) *http.Response {
		resp, _ := ask(t, "OPTIONS", s.url("/v1/chat/completions"), "", "Origin: "+origin, "Access-Control-Request-Method: POST",
			"Access-Control-Request-Headers: authorization,content-type")
		return resp
	}
	if h := preflight("http://app.example:3000").Header; h.Get("Access-Control-Allow-Origin") != "http://app.example:3000" ||
		h.Get("Access-Control-Allow-Headers") != "authorization,content-type" || h.Get("Vary") != "Origin" {
		t.Errorf("an allowed origin gets %v", h)
	}
	if h := preflight("http://evil.example").Header; h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("another origin gets %v", h)
	}
	if err := s.SetPolicy(Policy{}); err != nil {
		t.Fatal(err)
	}
	if h := preflight("http://app.example:3000").Header; h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("after the policy has changed: %v", h)
	}
	if err := s.SetPolicy(Policy{Origins: []string{"*"}}); err == nil {
		t.Error("every origin is allowed")
	}
}

func TestSocketMayDoEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	start(t, Options{Socket: path}, whoami)
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	r, _ := http.NewRequest("POST", "http://anything/", strings.NewReader("abc"))
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); string(text) != "socket local 3" {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

// A page in a frame of another is one whose buttons that other's visitors press.
func TestHeadersOfEveryAnswer(t *testing.T) {
	s := start(t, Options{}, whoami)
	resp, _ := ask(t, "GET", s.url("/"), "")
	for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
