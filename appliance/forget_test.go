package main

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"skerry/appliance/node/nodetest"
)

// A session that was forgotten is nowhere in the state directory, and does not come back
// when the daemon is killed right after; text of requests without a session never was
// there.
func TestForgottenForGood(t *testing.T) {
	tiny, state, socket := tinyBundle(t), t.TempDir(), shortDir(t)+"/s"
	begin := func() *process {
		p := start(t, "serve", "--listen", "127.0.0.1:0", "--socket", socket, "--state", state, "--bundle", tiny,
			"--mode", "standalone", "--threads", "1", "--context", "512", "--parallel", "2")
		awaitReady(t, socket)
		return p
	}
	stop := func(p *process) {
		p.signal(t, unix.SIGTERM)
		if code := p.wait(t); code != 0 {
			t.Fatalf("code %d: %s", code, p.stderr.String())
		}
	}
	const secret, other, aside = "the treasure lies under the third oak. ", "an ordinary question of the day. ", "said without a session. "
	p := begin()
	for range 2 {
		askIn(t, socket, "", strings.Repeat(aside, 9))
	}
	stop(p)
	if left := cachedOf(t, state, ""); len(left) > 0 {
		t.Errorf("without a session it is kept in %v", left)
	}
	p = begin()
	askIn(t, socket, "mine", strings.Repeat(secret, 9))
	askIn(t, socket, "other", strings.Repeat(other, 9))
	stop(p)
	if n := len(cachedOf(t, state, "")); n != 2 {
		t.Errorf("%d prefixes in the cache, want those of two sessions", n)
	}
	if len(whereIs(t, state, secret)) == 0 || len(cachedOf(t, state, "mine")) == 0 {
		t.Error("the session was not kept")
	}

	p = begin()
	expect(t, 0, "sessions", "rm", "mine", "--socket", socket)
	p.signal(t, unix.SIGKILL)
	p.wait(t)
	if left := cachedOf(t, state, "mine"); len(left) > 0 {
		t.Errorf("cached prefixes %v are left", left)
	}
	p = begin()
	out, _ := expect(t, 0, "sessions", "--socket", socket)
	if strings.Contains(out, "mine") || !strings.Contains(out, "other") {
		t.Errorf("after a kill there are\n%s", out)
	}
	if !nodetest.Eventually(func() bool { return len(whereIs(t, state, secret)) == 0 }) {
		t.Fatalf("it is still in %v", whereIs(t, state, secret))
	}
	if len(whereIs(t, state, other)) == 0 || len(cachedOf(t, state, "other")) == 0 {
		t.Error("another session is gone too")
	}
	stop(p)
	for _, text := range []string{secret, aside} {
		if left := whereIs(t, state, text); len(left) > 0 {
			t.Errorf("%q is in %v", text, left)
		}
	}
}

// askIn asks and waits for the answer.
func askIn(t *testing.T, socket, session, prompt string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"prompt": prompt, "max_tokens": 5, "seed": 1})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, "http://skerry/v1/completions", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if session != "" {
		r.Header.Set("X-Skerry-Session", session)
	}
	c := socketClient(socket)
	defer c.CloseIdleConnections()
	reply, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if text, _ := io.ReadAll(reply.Body); reply.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", reply.Status, text)
	}
}

// whereIs are the files below a directory that hold a text.
func whereIs(t *testing.T, dir, text string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // one that has just gone
		}
		if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte(text)) {
			out = append(out, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// cachedOf are the cached prefixes of a session, "" for all.
func cachedOf(t *testing.T, state, session string) []string {
	t.Helper()
	return whereIs(t, filepath.Join(state, "cache"), session)
}
