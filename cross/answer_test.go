package cross_test

import (
	"bufio"
	"encoding/json"
	"strings"
	"testing"
)

// spoken is a token as skerry run --json prints it.
type spoken struct {
	ID     int32
	Text   string
	Source string
	Margin float64
}

type answer struct {
	Text    string
	Tokens  []spoken
	Kernels kernelsOf
}

func (m machine) say(t *testing.T, dir string, args ...string) (a answer) {
	t.Helper()
	args = append([]string{"run", "--json", "--threads", "1", "--context", "256", "--bundle", dir}, args...)
	if err := json.Unmarshal(m.output(t, args...), &a); err != nil {
		t.Fatal(err)
	}
	if len(a.Tokens) == 0 {
		t.Fatalf("%s: no token after %v", m.cpu.name, args)
	}
	return a
}

// sayChained answers with every token from a cloud partition on the same machine.
// It is started by hand: an imitated program cannot start another.
func (m machine) sayChained(t *testing.T, dir string, args ...string) answer {
	t.Helper()
	cloud := m.command("cloud", "--json", "--attached", "--threads", "1", "--sessions", "1", "--context", "256", "--listen", "127.0.0.1:0", "--bundle", dir)
	var log strings.Builder
	cloud.Stderr = &log
	stdin, err := cloud.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cloud.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cloud.Start(); err != nil {
		t.Fatal(err)
	}
	defer cloud.Wait()
	defer stdin.Close() // which ends it
	var at struct{ Listening string }
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &at)
	}
	if err != nil {
		cloud.Process.Kill()
		t.Fatalf("%s: the cloud partition does not start: %v\n%s", m.cpu.name, err, log.String())
	}
	// An imitated cloud may take longer for an answer than an honest one would.
	a := m.say(t, dir, append([]string{"--cloud", at.Listening, "--threshold", "1.1", "--on-loss", "wait"}, args...)...)
	for i, token := range a.Tokens {
		if token.Source != "cloud" {
			t.Errorf("%s: token %d comes from %s", m.cpu.name, i, token.Source)
		}
	}
	return a
}
