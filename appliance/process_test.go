package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// children lists the processes whose parent is pid.
func children(pid int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// The name is in brackets and may hold anything.
		rest := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
		if len(rest) > 1 && rest[1] == strconv.Itoa(pid) {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, n)
		}
	}
	return pids
}

// A run that never ends by itself, with a cloud partition of its own.
var endlessAnswer = []string{"--threshold", "1.1", "--ignore-end", "--max-tokens", "4000", "Tell me of the sea."}

func startEndless(t *testing.T) *process {
	t.Helper()
	p := start(t, append([]string{"run", "--bundle", bundleDir(t)}, endlessAnswer...)...)
	p.await(t, &p.stdout, "text", func(s string) bool { return len(s) > 20 })
	return p
}

func TestInterrupt(t *testing.T) {
	p := startEndless(t)
	cloud := p.child(t)
	said := p.stdout.String()
	p.signal(t, os.Interrupt)
	if code := p.wait(t); code != 130 {
		t.Errorf("exit code %d", code)
	}
	cloud.ended(t)
	if out := p.stdout.String(); !strings.HasPrefix(out, said) || !strings.HasSuffix(out, "\n") {
		t.Errorf("after %q the answer ends as %q", said, out)
	}
	if e := p.stderr.String(); !strings.Contains(e, "(stopped)") || !strings.Contains(e, " tokens: cloud ") {
		t.Errorf("stderr %q", e)
	}
}

func TestInterruptBeforeText(t *testing.T) {
	addr, reached := blackhole(t)
	p := start(t, "run", "--bundle", bundleDir(t), "--cloud", addr, "hi")
	<-reached
	p.signal(t, os.Interrupt)
	if code := p.wait(t); code != 130 {
		t.Errorf("exit code %d", code)
	}
	if out, e := p.stdout.String(), p.stderr.String(); out != "" || e != "skerry: interrupted\n" {
		t.Errorf("stdout %q, stderr %q", out, e)
	}
}

func TestKilledBoardLeavesNoCloud(t *testing.T) {
	p := startEndless(t)
	cloud := p.child(t)
	p.signal(t, unix.SIGKILL)
	p.wait(t)
	cloud.ended(t)
}

// However a board ends, the stdin of its own cloud partition closes.
func TestAttachedCloudEndsWithStdin(t *testing.T) {
	cmd := exec.Command("skerry", "cloud", "--json", "--attached", "--listen", "127.0.0.1:0", "--bundle", tinyBundle(t))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := startCommand(t, cmd)
	p.await(t, &p.stdout, "address", func(s string) bool { return strings.HasSuffix(s, "\n") })
	stdin.Close()
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
}

func TestCloudEndsOnTerminate(t *testing.T) {
	p, addr := startCloud(t, "--bundle", bundleDir(t))
	board := start(t, append([]string{"run", "--bundle", bundleDir(t), "--cloud", addr}, endlessAnswer...)...)
	board.await(t, &board.stdout, "text", func(s string) bool { return len(s) > 20 })
	p.signal(t, unix.SIGTERM)
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
	if left := children(p.cmd.Process.Pid); len(left) > 0 {
		t.Errorf("children %v are left", left)
	}
	said := len(board.stdout.String())
	board.await(t, &board.stdout, "text without a cloud", func(s string) bool { return len(s) > said+40 })
}

// Boards that share a partition get each its own answer.
func TestTwoBoardsOneCloud(t *testing.T) {
	if testing.Short() {
		t.Skip("two boards compute for a while")
	}
	_, addr := startCloud(t, "--bundle", bundleDir(t))
	prompts := []string{"What is a harbour?", "Count from one to ten."}
	var boards []*process
	for _, prompt := range prompts {
		boards = append(boards, start(t, "run", "--json", "--bundle", bundleDir(t), "--cloud", addr,
			"--on-loss", "wait", "--threshold", "1.1", "--max-tokens", "40", "--ignore-end", prompt))
	}
	for i, b := range boards {
		if code := b.wait(t); code != 0 {
			t.Fatalf("exit code %d: %s", code, b.stderr.String())
		}
		got := parseReport(t, b.stdout.String())
		allFrom(t, got, "cloud")
		sameText(t, got, answer(t, 0, "--mode", "unsplit", "--max-tokens", "40", "--ignore-end", prompts[i]))
	}
}

func TestListenTaken(t *testing.T) {
	_, addr := startCloud(t, "--bundle", tinyBundle(t))
	_, stderr := expect(t, 1, "cloud", "--listen", addr, "--bundle", tinyBundle(t))
	if !strings.Contains(stderr, "address already in use") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("stderr %q", stderr)
	}
}
