package httpd

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// However many keys are tried, one line a minute tells of them, and loses none.
func TestFailedKeysAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		f := newFailures(slog.New(slog.NewTextHandler(&out, nil)))
		addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
		lines := func(want int, says string) {
			t.Helper()
			synctest.Wait()
			f.mu.Lock() // it logs with it held
			defer f.mu.Unlock()
			text := out.String()
			if strings.Count(text, "\n") != want || !strings.Contains(text, says) {
				t.Errorf("%s", text)
			}
			out.Reset()
		}
		f.note(addr(1))
		lines(1, "count=1 addresses=1 most_from=10.0.0.1")
		for i := range 10_000 {
			f.note(addr(i % 1000))
		}
		f.note(addr(7))
		lines(0, "")
		time.Sleep(tellFailures)
		lines(1, "count=10001 addresses=256 most_from=10.0.0.7")
		time.Sleep(tellFailures)
		f.note(addr(2)) // after a quiet minute at once again
		lines(1, "count=1")
		f.note(addr(3))
		f.close()
		f.note(addr(4))
		f.close()
	})
}

// Wrong keys are counted by header and by form; what has none, and a cookie that is
// over, are no attempt.
func TestWhatCountsAsAFailedKey(t *testing.T) {
	keys := openKeys(t)
	newKey(t, keys, "laptop")
	var out bytes.Buffer
	s := start(t, Options{Keys: keys, Loopback: never, Log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))}, whoami)
	ask(t, "GET", s.url("/"), "")
	ask(t, "GET", s.url("/"), "", "Cookie: skerry=laptop.1.00")
	ask(t, "POST", s.url("/login"), "key=x", "Content-Type: application/x-www-form-urlencoded")
	for range 5 {
		ask(t, "GET", s.url("/"), "", "X-Api-Key: sk-skerry-x")
	}
	s.guard.failed.mu.Lock()
	defer s.guard.failed.mu.Unlock()
	if s.guard.failed.count != 5 || strings.Count(out.String(), "unknown keys") != 1 || strings.Contains(out.String(), "sk-skerry-x") {
		t.Errorf("%d more, %s", s.guard.failed.count, &out)
	}
}

// One key has some streams of events, all keys together leave places for this machine.
func TestStreamsPerKey(t *testing.T) {
	keys := openKeys(t)
	secrets := []string{newKey(t, keys, "a"), newKey(t, keys, "b")}
	endless := func(r *http.Request) bool { return r.URL.Path == "/events" }
	hold := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).Flush()
		if endless(r) {
			<-r.Context().Done()
		}
	}
	s := start(t, Options{Keys: keys, Loopback: never, Endless: endless, Streams: 5, ClientStreams: 3}, hold)
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	open := func(secret string) (*http.Response, string) {
		t.Helper()
		r, _ := http.NewRequest("GET", s.url("/events"), nil)
		r.Header.Set("X-Api-Key", secret)
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp, fmt.Sprint(resp.StatusCode)
	}
	var got []string
	var first *http.Response
	for _, secret := range []string{secrets[0], secrets[0], secrets[0], secrets[0], secrets[1], secrets[1], secrets[1]} {
		resp, code := open(secret)
		if first == nil {
			first = resp
		}
		got = append(got, code)
	}
	if want := "200 200 200 429 200 200 429"; strings.Join(got, " ") != want {
		t.Errorf("%v", got)
	}
	if resp, _ := ask(t, "GET", s.url("/"), "", "X-Api-Key: "+secrets[0]); resp.StatusCode != 200 {
		t.Errorf("what is no stream: %d", resp.StatusCode)
	}
	first.Body.Close()
	for code := ""; code != "200"; { // once its end is noticed
		_, code = open(secrets[0])
	}
	here := start(t, Options{Endless: endless, Streams: 1, ClientStreams: 1}, hold)
	for range 3 {
		r, _ := http.NewRequest("GET", here.url("/events"), nil)
		resp, err := tr.RoundTrip(r)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("this machine's own: %v %v", resp, err)
		}
		defer resp.Body.Close()
	}
}

// Strangers who begin to send the form and do not end it lock nobody out.
func TestHalfALogin(t *testing.T) {
	keys := openKeys(t)
	secret := newKey(t, keys, "laptop")
	s := start(t, Options{Keys: keys, Loopback: never, ClientConnections: 8}, whoami)
	for range 8 {
		c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(s.url("/"), "http://"), "/"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "100") { // it is being read
			t.Fatalf("%q, %v", line, err)
		}
	}
	if resp, text := ask(t, "GET", s.url("/"), "", "X-Api-Key: "+secret); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}
