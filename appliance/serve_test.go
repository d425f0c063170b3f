package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"skerry/appliance/cli"
	"skerry/appliance/config"
	"skerry/appliance/node/nodetest"
	"skerry/storage"
)

// serving is a daemon with the tiny model behind a socket.
type serving struct {
	*process
	socket string
}

func startServing(t testing.TB, bundle, state string, more ...string) *serving {
	t.Helper()
	socket := filepath.Join(shortDir(t), "s")
	p := start(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--socket", socket, "--state", state, "--bundle", bundle,
		"--mode", "standalone", "--threads", "1", "--context", "512", "--parallel", "1"}, more...)...)
	p.await(t, &p.stdout, "address", func(s string) bool { return strings.HasSuffix(s, "\n") })
	return &serving{p, socket}
}

// ask has an answer decoded as far as its first n events, 0 for to its end.
func (s *serving) ask(t *testing.T, q *killQuestion, n int) {
	t.Helper()
	c := newKillClient(s.socket, 0)
	defer c.http.CloseIdleConnections()
	q.first = n
	if err := c.answer(t.Context(), q); err != nil {
		t.Fatal(err)
	}
}

func newQuestion(session string, most int) *killQuestion {
	return &killQuestion{session: session, seed: 3, most: most, messages: []map[string]string{{"role": "user", "content": "Hello"}}, at: map[int]string{}}
}

// The doors are open before the model is there, and those who knock are told when to
// come back.
func TestServeOpensAtOnce(t *testing.T) {
	s := startServing(t, filepath.Join(t.TempDir(), "none"), t.TempDir())
	c := socketClient(s.socket)
	defer c.CloseIdleConnections()
	r, err := c.Post("http://skerry/v1/chat/completions", "application/json", strings.NewReader(`{"messages":[{"role":"user","content":"Hello"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(r.Body)
	r.Body.Close()
	if r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), `"error"`) {
		t.Errorf("%s: %s", r.Status, body)
	}
	if i, err := os.Stat(s.socket); err != nil || i.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", i, err)
	}
	s.signal(t, unix.SIGTERM)
	if code := s.wait(t); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr.String())
	}
}

// A daemon that is told to stop has the rest of an answer in its journal, and the
// next one says it.
func TestServeStopsInMidAnswer(t *testing.T) {
	bundle, state := tinyBundle(t), t.TempDir()
	s := startServing(t, bundle, state, "--grace", "0s")
	awaitReady(t, s.socket)
	want := newQuestion("", 300)
	s.ask(t, want, 0)
	q := newQuestion("trip", 300)
	s.ask(t, q, 5)
	s.signal(t, unix.SIGTERM)
	if code := s.wait(t); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr.String())
	}
	s = startServing(t, bundle, state)
	awaitReady(t, s.socket)
	s.ask(t, q, 0)
	if !q.ended || q.text != want.text || want.text == "" {
		t.Errorf("%q, want %q", q.text, want.text)
	}
}

func TestServeTwice(t *testing.T) {
	bundle, state := tinyBundle(t), t.TempDir()
	startServing(t, bundle, state)
	_, stderr := expect(t, cli.ExitError, "serve", "--listen", "127.0.0.1:0", "--state", state, "--socket", filepath.Join(shortDir(t), "s"), "--bundle", bundle)
	if !strings.Contains(stderr, "runs with the state directory "+state+" already") {
		t.Errorf("%s", stderr)
	}
	_, stderr = expect(t, cli.ExitUsage, "serve", "--mode", "fast")
	if !strings.Contains(stderr, "fast") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("%s", stderr)
	}
}

// On a full disk answers go on, and nothing that was stored is lost.
func TestServeOnAFullDisk(t *testing.T) {
	bundle, state := tinyBundle(t), nodetest.SmallDisk(t)
	s := startServing(t, bundle, state)
	awaitReady(t, s.socket)
	before, after := newQuestion("before", 50), newQuestion("after", 300)
	s.ask(t, before, 0)
	mend := nodetest.FillDisk(t, state)
	s.ask(t, after, 0)
	if !after.ended || after.text == "" {
		t.Errorf("%q on a full disk", after.text)
	}
	mend()
	s.signal(t, unix.SIGTERM)
	if code := s.wait(t); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr.String())
	}
	db, err := storage.Open(config.DatabasePath(state), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for id, r := range recordsIn(db) {
		if m, _ := db.Session(id); r.Finish != "length" || m.Position != r.Answer+r.Options.MaxTokens {
			t.Errorf("session %s: %q with %d tokens", id, r.Finish, m.Position)
		}
	}
}

// SIGHUP reads the configuration again; one with a mistake changes nothing.
func TestServeReloads(t *testing.T) {
	file := filepath.Join(t.TempDir(), "skerry.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("max_tokens = 3\n")
	s := startServing(t, tinyBundle(t), t.TempDir(), "--config", file)
	awaitReady(t, s.socket)
	for _, step := range []struct {
		text, log string
		tokens    int
	}{{"max_tokens = 7\nqueue = 5\n", "changed=[max_tokens] after_a_restart=[queue]", 7}, {"max_tokns = 9\n", "max_tokns", 7}} {
		write(step.text)
		s.signal(t, unix.SIGHUP)
		s.await(t, &s.stderr, "reload", func(log string) bool { return strings.Contains(log, step.log) })
		q := newQuestion("", 0)
		s.ask(t, q, 0)
		if q.index() != step.tokens {
			t.Errorf("%d tokens after %q", q.index(), step.text)
		}
	}
}

// With a cloud the daemon's answers are the whole model's, several at once and each
// over a session of its own.
func TestServeAsksTheCloud(t *testing.T) {
	bundle, state := tinyBundle(t), t.TempDir()
	addr := tinyCloud(t, bundle, state)
	s := startServing(t, bundle, state, "--mode", "collaborative", "--threshold", "1.1", "--cloud", addr, "--on-loss", "wait")
	awaitReady(t, s.socket)
	alone := startServing(t, bundle, t.TempDir(), "--mode", "unsplit")
	awaitReady(t, alone.socket)
	for i := range 3 {
		got, want := newQuestion("", 30), newQuestion("", 30)
		got.seed, want.seed = uint64(i), uint64(i)
		s.ask(t, got, 0)
		alone.ask(t, want, 0)
		if tr := got.truth; got.text != want.text || tr.Sources["cloud"] != 30 || tr.Asks < 30 || tr.Lost == "" && tr.Asks > 30 || tr.BytesUp == 0 || tr.BytesDown == 0 || tr.Mode != "collaborative" {
			t.Errorf("%q, want %q; %+v", got.text, want.text, tr)
		}
	}
}
