package config

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"skerry/appliance/httpd"
)

// What the check accepts works, and what it refuses would not: an origin lets its
// pages in, a name reaches the machine, an address is listened on.
func TestWhatIsAcceptedWorks(t *testing.T) {
	for _, c := range []struct {
		key, value string
		shown      string // what a browser says, "" where the value is refused
	}{
		{"access.origins", "chrome-extension://bpoadfkcbjbfhfodiogcnhade", "chrome-extension://bpoadfkcbjbfhfodiogcnhade"},
		{"access.origins", "app://obsidian.md", "app://obsidian.md"},
		{"access.origins", "vscode-webview://0b1c", "vscode-webview://0b1c"},
		{"access.origins", "capacitor://localhost", "capacitor://localhost"},
		{"access.origins", "moz-extension://*", "moz-extension://0-1"},
		{"access.origins", "http://localhost:3000", "http://localhost:3000"},
		{"access.origins", "http://LOCALHOST:80", "http://localhost"},
		{"access.origins", "https://app.example:443", "https://app.example"},
		{"access.origins", "http://[::0001]:1", "http://[::1]:1"},
		{"access.origins", "http://localhost:*", "http://localhost:5173"},
		{"access.origins", "https://*.example.org", "https://a.example.org"},
		{"access.origins", "*", ""},
		{"access.origins", "http://*", ""},
		{"access.origins", "https://*:443", ""},
		{"access.origins", "null", ""},
		{"access.origins", "file://", ""},
		{"access.origins", "http://localhost:3000/", ""},
		{"access.hosts", "board.lan", "board.lan"},
		{"access.hosts", "board.lan:7537", "board.lan:7537"},
		{"access.hosts", "*.lan", "board.lan:80"},
		{"access.hosts", "*", ""},
		{"access.hosts", "http://board.lan", ""},
		{"listen", "*:0", "127.0.0.1"},
		{"listen", ":0", "127.0.0.1"},
		{"listen", "127.0.0.1:0", "127.0.0.1"},
		{"listen", "**:0", ""},
		{"listen", "*.example.org:0", ""},
		{"ollama_listen", "*:0", "127.0.0.1"},
		{"cloud.address", "*:7537", ""},
		{"cloud.address", "cloud.example:0", ""},
	} {
		conf, _, err := Load(Sources{File: "/dev/null", Flags: map[string]string{c.key: c.value}})
		if (err == nil) != (c.shown != "") {
			t.Errorf("%s = %q: %v", c.key, c.value, err)
		}
		if err != nil || c.shown == "" {
			continue
		}
		if err := works(t, c.key, conf, c.shown); err != nil {
			t.Errorf("%s = %q is accepted and does not work: %v", c.key, c.value, err)
		}
	}
}

func works(t *testing.T, key string, conf Config, shown string) error {
	t.Helper()
	o := httpd.Options{Policy: httpd.Policy{Origins: conf.Access.Origins, Hosts: conf.Access.Hosts}, Log: slog.New(slog.DiscardHandler)}
	if strings.HasSuffix(key, "listen") {
		o.Listen, o.Loopback = conf.Listen, func(net.Addr) bool { return true }
		if key == "ollama_listen" {
			o.Listen, o.OllamaListen = nil, conf.OllamaListen
		}
	} else {
		o.Listen = []string{"127.0.0.1:0"}
	}
	s, err := httpd.Listen(o)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(t.Context(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	}()
	defer func() {
		s.Shutdown(t.Context())
		<-served
	}()
	_, port, _ := net.SplitHostPort(s.Addrs()[0].String())
	r := httptest.NewRequest("POST", "http://"+net.JoinHostPort("127.0.0.1", port)+"/v1/x", nil)
	r.RequestURI = ""
	switch key {
	case "access.origins":
		r.Header.Set("Origin", shown)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	case "access.hosts":
		r.Host = shown
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if got := resp.Header.Get("Access-Control-Allow-Origin"); resp.StatusCode != http.StatusTeapot || key == "access.origins" && got != shown {
		t.Errorf("%s: %s, Access-Control-Allow-Origin %q", shown, resp.Status, got)
	}
	return nil
}
