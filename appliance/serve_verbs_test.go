package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"skerry/appliance/cli"
	"skerry/appliance/status"
)

// verb runs one against the daemon, and returns what it says.
func (s *serving) verb(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	return expect(t, code, append(args, "--socket", s.socket)...)
}

// The verbs that ask the daemon, and the daemon itself behind them.
func TestVerbsOnTheDaemon(t *testing.T) {
	bundle, state := tinyBundle(t), t.TempDir()
	s := startServing(t, bundle, state)
	awaitReady(t, s.socket)
	s.ask(t, newQuestion("trip", 30), 0)

	stdout, _ := s.verb(t, cli.ExitOK, "status", "--json")
	var got status.Status
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.State != status.Ready || got.Model == nil || got.Version != version {
		t.Errorf("%v: %s", err, stdout)
	}
	for _, c := range []struct {
		code int
		args []string
		want []string // on stdout, or on stderr where that is empty
	}{
		{cli.ExitOK, []string{"status"}, []string{"ready", "trip"}},
		{cli.ExitOK, []string{"ps"}, []string{"MODEL ", got.Model.Name, "0 running"}},
		{cli.ExitOK, []string{"sessions"}, []string{"SESSION ", "trip ", "yes"}},
		{cli.ExitOK, []string{"sessions", "show", "trip"}, []string{"user:      Hello\n", "assistant: "}},
		{cli.ExitOK, []string{"sessions", "export", "trip"}, []string{`{"session":{"id":"trip"`, `{"role":"user","content":"Hello"}`, `{"role":"assistant"`}},
		{cli.ExitError, []string{"sessions", "show", "nobody"}, []string{`no session "nobody"`}},
		{cli.ExitOK, []string{"link", "status"}, []string{"answers alone"}},
		{cli.ExitError, []string{"link", "retry"}, []string{"no cloud is configured"}},
	} {
		stdout, stderr := s.verb(t, c.code, c.args...)
		if stdout == "" {
			stdout = stderr
		}
		for _, w := range c.want {
			if !strings.Contains(stdout, w) {
				t.Errorf("%v: no %q in\n%s", c.args, w, stdout)
			}
		}
	}

	out := filepath.Join(t.TempDir(), "b.tar.gz")
	s.verb(t, cli.ExitOK, "support-bundle", "-o", out, "--state", state)
	archive, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	files := unpacked(t, archive)
	for name, want := range map[string]string{"log.txt": "the model is loaded", "config.toml": `durability = "auto"`, "status.json": `"session-1"`, "doctor.txt": "ready, for"} {
		if !strings.Contains(files[name], want) {
			t.Errorf("no %q in %s:\n%s", want, name, files[name])
		}
	}
	for name, text := range files {
		if strings.Contains(text, "trip") {
			t.Errorf("the session's name is in %s", name)
		}
	}

	watch := start(t, "status", "--watch", "--json", "--socket", s.socket)
	watch.await(t, &watch.stdout, "status", func(s string) bool { return strings.Contains(s, "\n") })
	s.verb(t, cli.ExitOK, "sessions", "rm", "trip")
	watch.await(t, &watch.stdout, "change", func(s string) bool {
		return strings.Contains(s, `"sessions":[]`) || strings.Contains(s, `"sessions":null`)
	})

	s.signal(t, unix.SIGTERM)
	if code := s.wait(t); code != cli.ExitOK {
		t.Errorf("exit code %d: %s", code, s.stderr.String())
	}
	s.verb(t, cli.ExitDaemon, "status")
	watch.await(t, &watch.stderr, "loss", func(s string) bool { return strings.Contains(s, "the daemon") })
	watch.signal(t, os.Interrupt)
	if code := watch.wait(t); code != cli.ExitOK {
		t.Errorf("exit code %d: %s", code, watch.stderr.String())
	}
}
