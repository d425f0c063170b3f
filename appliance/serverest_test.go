package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/node/nodetest"
	"skerry/appliance/status"
	"skerry/cloudlink/linksim"
)

// cloudAt is a cloud of a bundle that can be started again at its address.
func cloudAt(t *testing.T, addr, bundle, state string) *process {
	t.Helper()
	p := start(t, "cloud", "--json", "--listen", addr, "--bundle", bundle, "--state", state, "--context", "512", "--sessions", "2", "--threads", "1")
	p.await(t, &p.stdout, "address", func(s string) bool { return len(s) > 0 })
	return p
}

// slowLink leads to the cloud at addr with a round trip that leaves time to cut answers.
func slowLink(t *testing.T, addr string) string {
	t.Helper()
	target, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	link, err := linksim.Start(t.Context(), linksim.Spec{RTT: 40 * time.Millisecond}, target, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	return link.Addr().String()
}

// reply is what the daemon says to a request.
type reply struct {
	status int
	retry  string
	body   string
}

func (s *serving) get(t *testing.T, path string) reply {
	t.Helper()
	return s.do(t, http.MethodGet, path, "")
}

func (s *serving) do(t *testing.T, method, path, body string) reply {
	t.Helper()
	c := socketClient(s.socket)
	defer c.CloseIdleConnections()
	r, err := http.NewRequest(method, "http://skerry"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json")
	got, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	b, _ := io.ReadAll(got.Body)
	return reply{got.StatusCode, got.Header.Get("Retry-After"), string(b)}
}

func (s *serving) status(t *testing.T) (st status.Status) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.get(t, "/api/v1/status").body), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// awaitStatus waits until the daemon's status is as wanted.
func (s *serving) awaitStatus(t *testing.T, what string, wanted func(status.Status) bool) {
	t.Helper()
	if !nodetest.Eventually(func() bool { return wanted(s.status(t)) }) {
		t.Fatalf("not %s: %s", what, s.get(t, "/api/v1/status").body)
	}
}

// A board whose memory holds the whole model answers as it would without a cloud, once
// its cloud is lost, in the middle of an answer too; and goes back to the cloud.
func TestServeLosesItsCloud(t *testing.T) {
	bundle, state, addr := tinyBundle(t), t.TempDir(), nodetest.FreePort(t)
	cloud := cloudAt(t, addr, bundle, state)
	s := startServing(t, bundle, state, "--mode", "collaborative", "--threshold", "1.1", "--cloud", slowLink(t, addr))
	awaitReady(t, s.socket)
	alone := startServing(t, bundle, t.TempDir(), "--mode", "unsplit")
	awaitReady(t, alone.socket)
	s.awaitStatus(t, "connected", func(st status.Status) bool { return st.Link.Connected })
	want := func(q *killQuestion) string {
		t.Helper()
		same := newQuestion("", q.most)
		same.seed, same.messages = q.seed, q.messages
		alone.ask(t, same, 0)
		return same.text
	}

	q := newQuestion("mid", 200)
	s.ask(t, q, 20)
	cloud.signal(t, unix.SIGKILL)
	q.first = 0
	s.ask(t, q, 0)
	if by := q.truth.Sources; q.text != want(q) || by["fallback"] > 0 || by["unsplit"] == 0 || len(q.truth.Changes) == 0 || q.truth.Changes[0].To != "unsplit" {
		t.Errorf("lost in the middle: %+v\n%q", q.truth, q.text)
	}
	q = newQuestion("", 40)
	s.ask(t, q, 0)
	if by := q.truth.Sources; q.text != want(q) || by["unsplit"] != 40 {
		t.Errorf("lost before: %+v\n%q", q.truth, q.text)
	}
	if st := s.status(t); st.State != status.Ready || st.Model.Alone != "the whole model" || s.get(t, "/readyz").status != http.StatusOK {
		t.Errorf("%s, %+v", st.State, st.Model)
	}
	cloudAt(t, addr, bundle, state)
	s.awaitStatus(t, "connected again", func(st status.Status) bool { return st.Link.Connected })
	for until := time.Now().Add(patience); ; { // it may lead for a few seconds yet
		q = newQuestion("", 40)
		s.ask(t, q, 0)
		if q.text != want(q) {
			t.Fatalf("back: %+v\n%q", q.truth, q.text)
		}
		if q.truth.Sources["cloud"] == 40 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("the cloud is not asked again: %+v", q.truth)
		}
	}
}

// A board that cannot answer without its cloud says so: not ready, and 503 with when to
// ask again, never a guess; and answers once the cloud is there.
func TestServeCannotAnswerWithoutItsCloud(t *testing.T) {
	bundle, state, addr := tinyBundle(t), t.TempDir(), nodetest.FreePort(t)
	s := startServing(t, withoutRest(t, bundle), state, "--mode", "auto", "--cloud", slowLink(t, addr))
	awaitReady(t, s.socket)
	s.awaitStatus(t, "unable", func(st status.Status) bool { return st.State == status.Unable })
	const question = `{"messages":[{"role":"user","content":"Hello"}],"max_tokens":3`
	for _, path := range []string{"/v1/chat/completions", "/api/chat"} {
		for _, more := range []string{`,"model":"tiny"}`, `,"model":"tiny","stream":true}`} {
			r := s.do(t, http.MethodPost, path, question+more)
			if r.status != http.StatusServiceUnavailable || r.retry == "" || !strings.Contains(r.body, "the whole model is not on this board") {
				t.Errorf("%s %s: %+v", path, more, r)
			}
		}
	}
	if r := s.get(t, "/readyz"); r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, "the cloud cannot be asked") {
		t.Errorf("readyz: %+v", r)
	}
	if r := s.get(t, "/healthz"); r.status != http.StatusOK {
		t.Errorf("healthz: %+v", r)
	}
	if st := s.status(t); !strings.HasPrefix(st.Model.Alone, "nothing: the bundle lacks it") || st.Unable == "" {
		t.Errorf("%+v", st.Model)
	}
	if r := s.do(t, http.MethodPost, "/v1/chat/completions", question+`,"skerry":{"mode":"standalone"}}`); r.status != http.StatusOK {
		t.Errorf("as asked for by name: %+v", r)
	}
	cloud := cloudAt(t, addr, bundle, state)
	able := func(st status.Status) bool { return st.State == status.Ready && st.Link.Connected }
	s.awaitStatus(t, "ready", able)
	if r := s.do(t, http.MethodPost, "/v1/chat/completions", question+"}"); r.status != http.StatusOK {
		t.Errorf("with the cloud: %+v", r)
	}

	// In the middle of an answer it ends with a word, and goes on once the cloud is back.
	q := newQuestion("cut", 200)
	s.ask(t, q, 20)
	cloud.signal(t, unix.SIGKILL)
	q.first = 0
	c := newKillClient(s.socket, 0)
	defer c.http.CloseIdleConnections()
	// The end comes as an event, or as a 503 where nothing came before it.
	if err := c.answer(t.Context(), q); q.ended || err != nil && !strings.Contains(err.Error(), "nothing on this board may speak in its place") {
		t.Errorf("lost in the middle, %d tokens: %v", q.index(), err)
	}
	cloudAt(t, addr, bundle, state)
	s.awaitStatus(t, "ready again", able)
	for !q.ended {
		if err := c.answer(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	alone := startServing(t, bundle, t.TempDir(), "--mode", "unsplit")
	awaitReady(t, alone.socket)
	want := newQuestion("", 200)
	alone.ask(t, want, 0)
	if q.text != want.text {
		t.Errorf("%q\nwant %q, %+v", q.text, want.text, q.truth)
	}
}

// A cloud that lacks the model is as good as none.
func TestServeCloudLacksTheModel(t *testing.T) {
	state := t.TempDir()
	_, addr := startCloud(t, "--bundle", bundleDir(t), "--state", state, "--context", "512", "--threads", "1")
	s := startServing(t, withoutRest(t, tinyBundle(t)), state, "--mode", "auto", "--cloud", addr)
	awaitReady(t, s.socket)
	s.awaitStatus(t, "unable", func(st status.Status) bool { return st.State == status.Unable && st.Link.Connected })
	r := s.do(t, http.MethodPost, "/v1/chat/completions", `{"messages":[{"role":"user","content":"Hello"}]}`)
	if r.status != http.StatusServiceUnavailable || r.retry == "" || !strings.Contains(r.body, "lacks this model") {
		t.Errorf("%+v", r)
	}
}
