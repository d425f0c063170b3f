package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"skerry/appliance/bundle/choose"
	"skerry/appliance/cli"
	"skerry/appliance/cloudnode/child"
	"skerry/appliance/conversation"
	"skerry/appliance/infer"
	"skerry/build/testshort"
)

// Under the name skerry the test binary is the program itself; it starts its
// cloud partitions by the path of its own executable, which keeps that name.
func TestMain(m *testing.M) { testscript.Main(suite{m}, map[string]func(){"skerry": main}) }

// suite prepares what all tests share: the kernels that make built, and
// certificates of their own.
type suite struct{ *testing.M }

func (s suite) Run() int {
	state, err := os.MkdirTemp("", "skerry-state")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(state)
	os.Setenv("SKERRY_STATE", state)
	os.Unsetenv("NO_COLOR")
	if os.Getenv("SKERRY_KERNELS") == "" {
		if dir, err := filepath.Abs("../bin/kernels"); err == nil {
			os.Setenv("SKERRY_KERNELS", dir)
		}
	}
	return s.M.Run()
}

// patience bounds every wait for a process, which may split a model of 1B on a busy machine;
// it is no measure of speed.
const patience = 5 * time.Minute

var prepared = sync.OnceValues(func() (string, error) {
	return choose.Default(context.Background(), &cli.Console{Stdin: os.Stdin, Stdout: os.Stderr, Stderr: os.Stderr})
})

// checked are the tests of a model's answers that -short keeps, one of each kind of whole: the
// default model's with a cloud that skerry run starts, a daemon's over its link, and one that
// goes on in a daemon started again.
var checked = []string{"TestRunJSON", "TestServeAsksTheCloud", "TestServeStopsInMidAnswer"}

// computes leaves the test of a model's answers out of -short, unless it is checked.
func computes(t testing.TB) {
	t.Helper()
	name, _, _ := strings.Cut(t.Name(), "/")
	if !slices.Contains(checked, name) {
		testshort.Skip(t, "it computes with a model")
	}
}

// bundleDir is the default model's bundle, which stays in the cache between runs.
func bundleDir(t testing.TB) string {
	t.Helper()
	computes(t)
	dir, err := prepared()
	if err != nil {
		t.Fatalf("the default model is neither in the cache nor to be had: %v", err)
	}
	return dir
}

// tinyBundle makes a bundle of random weights, whose text means nothing.
func tinyBundle(t *testing.T) string {
	t.Helper()
	computes(t)
	src, dir := filepath.Join(t.TempDir(), "tiny.gguf"), filepath.Join(t.TempDir(), "tiny")
	expect(t, 0, "model", "synth", "tiny", "-o", src)
	expect(t, 0, "model", "split", src, "-o", dir)
	return dir
}

// process is a running skerry.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr transcript
	done           chan struct{} // closed once it has ended and all it said was read
}

// start runs skerry in the background; the test's end kills it.
func start(t testing.TB, args ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command("skerry", args...))
}

func startCommand(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.done
	})
	return p
}

func (p *process) signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// wait returns the exit code, as a shell would.
func (p *process) wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.cmd.Process.Signal(syscall.SIGQUIT) // it says where it stands, and ends
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
		}
		t.Fatalf("skerry %v does not end; it said\n%s%s", p.cmd.Args[1:], p.stdout.String(), p.stderr.String())
	}
	if s := p.cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signaled() {
		return 128 + int(s.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}

// await waits until the process has said enough to please ok.
func (p *process) await(t testing.TB, s *transcript, what string, ok func(string) bool) {
	t.Helper()
	late := time.After(patience)
	for {
		text, more := s.read()
		if ok(text) {
			return
		}
		select {
		case <-more:
			continue
		case <-p.done:
			if ok(s.String()) {
				return
			}
		case <-late:
		}
		t.Fatalf("no %s from skerry %v:\n%s%s", what, p.cmd.Args[1:], p.stdout.String(), p.stderr.String())
	}
}

// child is the one process that p has started, as a handle that survives p.
func (p *process) child(t testing.TB) *witness {
	t.Helper()
	pids := children(p.cmd.Process.Pid)
	if len(pids) != 1 {
		t.Fatalf("skerry %v has children %v, want one", p.cmd.Args[1:], pids)
	}
	return watch(t, pids[0])
}

// witness sees the end of a process that may be no child of ours.
type witness struct{ pid, fd int }

func watch(t testing.TB, pid int) *witness {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("pidfd of %d: %v", pid, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &witness{pid, fd}
}

// ended waits for the end of the process.
func (w *witness) ended(t testing.TB) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}, int(patience/time.Millisecond))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != 1 || err != nil {
			unix.Kill(w.pid, unix.SIGKILL)
			t.Fatalf("process %d is left behind (%v)", w.pid, err)
		}
		return
	}
}

// transcript is what a process has written so far.
type transcript struct {
	mu   sync.Mutex // guards all following
	buf  bytes.Buffer
	more chan struct{} // closed at the next write
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more != nil {
		close(s.more)
		s.more = nil
	}
	return s.buf.Write(p)
}

func (s *transcript) read() (text string, more <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more == nil {
		s.more = make(chan struct{})
	}
	return s.buf.String(), s.more
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// expect runs skerry to its end and fails the test unless it exits with code.
func expect(t testing.TB, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	p := start(t, args...)
	if got := p.wait(t); got != code {
		t.Fatalf("skerry %s: exit code %d, want %d:\n%s%s", strings.Join(args, " "), got, code, p.stdout.String(), p.stderr.String())
	}
	return p.stdout.String(), p.stderr.String()
}

// answer is what skerry run --json prints of an answer that ends with code.
func answer(t testing.TB, code int, args ...string) conversation.Report {
	t.Helper()
	stdout, _ := expect(t, code, append([]string{"run", "--json", "--bundle", bundleDir(t)}, args...)...)
	return parseReport(t, stdout)
}

func parseReport(t testing.TB, stdout string) (r conversation.Report) {
	t.Helper()
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v in %q", err, stdout)
	}
	return r
}

func idsOf(r conversation.Report) (ids []int32) {
	for _, t := range r.Tokens {
		ids = append(ids, t.ID)
	}
	return ids
}

// sameText fails the test unless both answers are the same tokens, and some.
func sameText(t testing.TB, got, want conversation.Report) {
	t.Helper()
	if len(want.Tokens) == 0 || !slices.Equal(idsOf(got), idsOf(want)) || got.Text != want.Text {
		t.Errorf("%s says %q %v\n%s says %q %v", got.Mode, got.Text, idsOf(got), want.Mode, want.Text, idsOf(want))
	}
}

// waiting has every token of a collaborative answer come from the cloud where it is asked
// for, also on a machine so busy that the link is taken for lost for a moment.
var waiting = []string{"--on-loss", "wait"}

// allFrom fails the test unless every token comes from the source.
func allFrom(t testing.TB, r conversation.Report, s infer.Source) {
	t.Helper()
	if n := r.Usage.BySource[s]; n != len(r.Tokens) || n == 0 {
		t.Errorf("%d of %d tokens from %s: %v", n, len(r.Tokens), s, r.Usage.BySource)
	}
}

// startCloud runs a partition and returns its address.
func startCloud(t testing.TB, args ...string) (*process, string) {
	t.Helper()
	p := start(t, append([]string{"cloud", "--json", "--listen", "127.0.0.1:0"}, args...)...)
	var said child.Announcement
	p.await(t, &p.stdout, "address", func(s string) bool { return json.Unmarshal([]byte(s), &said) == nil })
	if said.PID != p.cmd.Process.Pid {
		t.Errorf("pid %d is announced as %d", p.cmd.Process.Pid, said.PID)
	}
	return p, said.Listening
}
