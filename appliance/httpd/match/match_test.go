package match

import (
	"net"
	"strings"
	"testing"
)

func TestOrigins(t *testing.T) {
	for _, c := range []struct{ pattern, yes, no string }{
		{"http://localhost:3000", "http://localhost:3000", "http://localhost:3001 https://localhost:3000 http://localhost http://localhost.evil.example:3000"},
		{"HTTP://LocalHost:3000", "http://localhost:3000 http://LOCALHOST:3000", "http://127.0.0.1:3000"},
		{"http://localhost:80", "http://localhost http://localhost:80", "http://localhost:8080 https://localhost"},
		{"http://localhost:", "http://localhost", "http://localhost:8080"},
		{"http://localhost:0080", "http://localhost", ""},
		{"https://app.example", "https://app.example https://app.example:443", "https://sub.app.example https://app.example.evil"},
		{"http://[::1]:3000", "http://[::1]:3000", "http://[::2]:3000"},
		{"http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000", ""},
		{"http://192.168.1.5", "http://192.168.1.5", "http://192.168.1.50"},
		{"http://localhost:*", "http://localhost http://localhost:1 http://localhost:65535", "http://localhost.example https://localhost:1 http://localhost:*"},
		{"https://*.example.org", "https://a.example.org https://a.b.example.org", "https://example.org https://aexample.org https://a.example.org:8443 https://*.example.org https://.example.org https://a.example.org.evil"},
		{"https://*.example.org:*", "https://a.example.org https://a.example.org:8443", "https://example.org:8443"},
		{"chrome-extension://bpoadfkcbjbfhfodiogcnhade", "chrome-extension://bpoadfkcbjbfhfodiogcnhade", "chrome-extension://other moz-extension://bpoadfkcbjbfhfodiogcnhade"},
		{"moz-extension://*", "moz-extension://1f2e3d4c-0000-4000-8000-000000000000", "chrome-extension://x moz-extension:// http://x"},
		{"app://obsidian.md", "app://obsidian.md", "app://obsidian.md.evil"},
		{"vscode-webview://0b1c", "vscode-webview://0b1c", "vscode-webview://0b1d"},
		{"capacitor://localhost", "capacitor://localhost", "ionic://localhost http://localhost"},
		{"tauri://localhost", "tauri://localhost", ""},
		{"app://.", "app://.", "app://x"},
	} {
		o, err := ParseOrigin(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		for _, h := range strings.Fields(c.yes) {
			if !o.Match(h) {
				t.Errorf("%s is not %s", h, c.pattern)
			}
		}
		for _, h := range append(strings.Fields(c.no), "", "null", "*", "http://*", "x", c.pattern+"/", c.pattern+"@evil.example") {
			if o.Match(h) {
				t.Errorf("%s is taken for %s", h, c.pattern)
			}
		}
	}
	for s, want := range map[string]string{
		"localhost:3000": "give SCHEME://HOST", "http://": "give SCHEME://HOST", "http://a/": "give SCHEME://HOST", "http://a?b": "give SCHEME://HOST",
		"http://a:x": "give SCHEME://HOST", "http://a:65536": "give SCHEME://HOST", "http://u@a": "give SCHEME://HOST", "http://a b": "give SCHEME://HOST",
		"//a": "give SCHEME://HOST", "": "give SCHEME://HOST", "*://a": "give SCHEME://HOST", "http://[::1": "give SCHEME://HOST", "http://[1.2.3.4]": "give SCHEME://HOST",
		"*": "every page of the web", "http://*": "every page of the web", "https://*:*": "every page of the web", "http://*:3000": "every page of the web",
		"null": "any page can send the origin null", "file://": "give SCHEME://HOST", "file://x": "from a file", "ws://localhost": "http or https",
		"http://a*": "a * must stand for", "http://a.*.b": "a * must stand for", "http://*.*": "a * must stand for", "app://a*": "a * stands for",
		"http://bücher.example": "as xn--", "http://127.1": "in full", "http://0x7f.0.0.1": "", "http://a.0x1": "in full", "http://*.1.2.3.4": "has no subdomains",
		"http://a..b": "as xn--", "https://*.": "as xn--",
	} {
		if _, err := ParseOrigin(s); want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestHosts(t *testing.T) {
	for _, c := range []struct{ pattern, yes, no string }{
		{"board.lan", "board.lan BOARD.lan board.lan.", "xboard.lan a.board.lan board.lan.evil"},
		{"Board.LAN.", "board.lan", ""},
		{"board.lan:7537", "board.lan", ""},
		{"*.lan", "board.lan a.b.lan", "lan xlan .lan"},
		{"[fd00::1]", "fd00::1", ""},
	} {
		h, err := ParseHost(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		for _, n := range strings.Fields(c.yes) {
			if !h.Match(n) {
				t.Errorf("%s is not %s", n, c.pattern)
			}
		}
		for _, n := range append(strings.Fields(c.no), "") {
			if h.Match(n) {
				t.Errorf("%q is taken for %s", n, c.pattern)
			}
		}
	}
	for _, s := range []string{"", "*", "*:80", "http://board", "a b", "a*", "*.a.*", "ü.example", "a..b", "board:x"} {
		if _, err := ParseHost(s); err == nil {
			t.Errorf("%q is a host", s)
		}
	}
}

func TestListen(t *testing.T) {
	for s, want := range map[string]string{
		"127.0.0.1:7537": "127.0.0.1:7537", ":7537": ":7537", "*:7537": ":7537", "[::]:0": "[::]:0", "localhost:1": "localhost:1",
		"[fe80::1%eth0]:1": "[fe80::1%eth0]:1", "board_1.lan.:1": "board_1.lan.:1",
		"": "", "7537": "", "127.0.0.1": "", "a b:1": "", "*x:1": "", "::1:7537": "", "1.2.3:4": "", "a:65536": "", "a:http": "", "http://a:1": "",
	} {
		got, err := Listen(s)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
}

// FuzzOrigin: whatever is taken for an origin matches itself unless it has a *, and
// no header of another scheme.
func FuzzOrigin(f *testing.F) {
	for _, s := range []string{"http://localhost:3000", "chrome-extension://a", "https://*.b.c:*", "http://[::1]:80", "app://%41", "*"} {
		f.Add(s, "http://evil.example")
	}
	f.Fuzz(func(t *testing.T, s, header string) {
		o, err := ParseOrigin(s)
		if err != nil {
			return
		}
		if !strings.Contains(s, "*") && !o.Match(s) {
			t.Errorf("%q is not itself", s)
		}
		if o.Match(header) && !strings.EqualFold(before(s), before(header)) {
			t.Errorf("%q is taken for %q", header, s)
		}
		ParseHost(s)
		if a, err := Listen(s); err == nil {
			if _, _, err := net.SplitHostPort(a); err != nil {
				t.Errorf("%q is %q: %v", s, a, err)
			}
		}
	})
}

func before(s string) string {
	scheme, _, _ := strings.Cut(s, "://")
	return scheme
}
