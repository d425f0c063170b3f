package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Modes that ask nobody open no socket of any kind.
func TestAloneOpensNoSocket(t *testing.T) {
	if seen := sockets(t, "--threshold", "1.1"); !strings.Contains(seen, "AF_INET") && !strings.Contains(seen, "socket:") {
		t.Fatalf("the sockets of a collaborative run are not seen, so the test shows nothing: %q", seen)
	}
	for _, mode := range []string{"standalone", "unsplit"} {
		if seen := sockets(t, "--mode", mode); seen != "" {
			t.Errorf("%s opens sockets:\n%s", mode, seen)
		}
	}
}

// sockets runs skerry and returns what it does with sockets: its system calls
// where they can be traced, else what its open files show.
func sockets(t *testing.T, args ...string) string {
	t.Helper()
	args = append([]string{"run", "--bundle", bundleDir(t), "--max-tokens", "16", "--ignore-end", "Hello"}, args...)
	trace := filepath.Join(t.TempDir(), "trace")
	strace := []string{"-f", "-qq", "-e", "trace=socket,socketpair,connect,bind", "-e", "signal=none", "-o", trace}
	if exec.Command("strace", append(strace, "true")...).Run() != nil {
		t.Log("strace cannot trace here: looking at open files instead")
		return openSockets(t, start(t, args...))
	}
	p := startCommand(t, exec.Command("strace", append(append(strace, "skerry"), args...)...))
	if code := p.wait(t); code != 0 {
		t.Fatalf("exit code %d: %s", code, p.stderr.String())
	}
	data, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	for line := range strings.Lines(string(data)) {
		if !strings.Contains(line, "???(") { // a thread that strace let go of, which names no call
			calls = append(calls, line)
		}
	}
	return strings.Join(calls, "")
}

func openSockets(t *testing.T, p *process) string {
	t.Helper()
	seen, looks := "", 0
	for {
		select {
		case <-p.done:
			if looks == 0 {
				t.Fatal("the run ended before it was looked at")
			}
			return seen
		default:
		}
		files, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "fd", "*"))
		for _, f := range files {
			if to, err := os.Readlink(f); err == nil && strings.HasPrefix(to, "socket:") {
				seen += to + "\n"
			}
		}
		looks++
	}
}
