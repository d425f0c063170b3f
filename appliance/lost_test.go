package main

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"skerry/appliance/cli"
	"skerry/appliance/conversation"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// blackhole is an address that swallows everything; reached is closed by the
// first packet.
func blackhole(t *testing.T) (addr string, reached <-chan struct{}) {
	t.Helper()
	conn := listenUDP(t)
	first := make(chan struct{})
	go func() {
		defer close(first)
		conn.ReadFrom(make([]byte, 1))
	}()
	return conn.LocalAddr().String(), first
}

func listenUDP(t *testing.T) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// relay forwards one board's packets to the cloud at target and counts those
// that come back; flowing is closed by number n.
func relay(t *testing.T, target string, n int) (addr string, flowing <-chan struct{}) {
	t.Helper()
	front := listenUDP(t)
	back, err := net.Dial("udp", target)
	if err != nil {
		t.Fatal(err)
	}
	var board atomic.Pointer[net.Addr]
	reached, done := make(chan struct{}), make(chan struct{}, 2)
	go func() {
		defer func() { done <- struct{}{} }()
		for buf := make([]byte, 1<<16); ; {
			size, from, err := front.ReadFrom(buf)
			if err != nil {
				return
			}
			board.Store(&from)
			back.Write(buf[:size]) // a cloud that is gone refuses it
		}
	}()
	go func() {
		defer func() { done <- struct{}{} }()
		for buf, count := make([]byte, 1<<16), 0; ; {
			size, err := back.Read(buf)
			switch {
			case err == nil:
				front.WriteTo(buf[:size], *board.Load())
				if count++; count == n {
					close(reached)
				}
			case strings.Contains(err.Error(), "use of closed"):
				return
			}
		}
	}()
	t.Cleanup(func() {
		front.Close()
		back.Close()
		<-done
		<-done
	})
	return front.LocalAddr().String(), reached
}

func TestCloudKilled(t *testing.T) { testCloudGone(t, unix.SIGKILL) }

func TestCloudSilent(t *testing.T) { testCloudGone(t, unix.SIGSTOP) }

func testCloudGone(t *testing.T, s unix.Signal) {
	if testing.Short() && s == unix.SIGSTOP {
		t.Skip("waits as long as for a cloud that is killed")
	}
	cloud, addr := startCloud(t, "--bundle", bundleDir(t))
	through, flowing := relay(t, addr, 40)
	const prompt, tokens = "Describe a lighthouse.", "96"
	p := start(t, "run", "--json", "--bundle", bundleDir(t), "--cloud", through, "--link", "rtt=10ms",
		"--threshold", "1.1", "--max-tokens", tokens, "--ignore-end", prompt)
	<-flowing
	cloud.signal(t, s)
	if code := p.wait(t); code != cli.ExitDegraded {
		t.Fatalf("exit code %d: %s", code, p.stderr.String())
	}
	r := parseReport(t, p.stdout.String())
	if len(r.Tokens) != 96 || r.Finish != infer.Length || r.Link == nil || !strings.Contains(r.Link.Lost, "lost") {
		t.Fatalf("%d tokens, %s, link %+v", len(r.Tokens), r.Finish, r.Link)
	}
	last := lastOf(r, infer.FromCloud)
	first := slices.IndexFunc(r.Tokens, func(t infer.Token) bool { return t.Source == infer.FromUnsplit })
	if last < 0 || first < last {
		t.Fatalf("the last token of the cloud is %d, the first of the board's whole model %d: %v", last, first, r.Usage.BySource)
	}
	if c := r.Tokens[first].Change; r.Tokens[first].Why != infer.WhyLost || !r.Tokens[first].Verified || c == nil || c.To != decode.Unsplit {
		t.Errorf("the first token without the cloud: %+v", r.Tokens[first])
	}
	if n := r.Usage.BySource[infer.Fallback]; n > 0 {
		t.Errorf("%d tokens are guesses of an exit", n)
	}
	// The text is the whole model's, with the cloud and without.
	want := answer(t, 0, "--mode", "unsplit", "--max-tokens", tokens, "--ignore-end", prompt)
	if !slices.Equal(idsOf(r), idsOf(want)) {
		t.Errorf("lost after %d tokens: %v, the whole model %v", last+1, idsOf(r), idsOf(want))
	}
}

func lastOf(r conversation.Report, s infer.Source) int {
	for i, t := range slices.Backward(r.Tokens) {
		if t.Source == s {
			return i
		}
	}
	return -1
}

// The words of a loss: the text stays whole on stdout, one line says why.
func TestCloudKilledInText(t *testing.T) {
	cloud, addr := startCloud(t, "--bundle", bundleDir(t))
	p := start(t, "run", "--bundle", bundleDir(t), "--cloud", addr, "--threshold", "1.1", "--max-tokens", "120", "--ignore-end", "Describe a lighthouse.")
	p.await(t, &p.stdout, "text", func(s string) bool { return len(s) > 40 })
	said := p.stdout.String()
	cloud.signal(t, unix.SIGKILL)
	if code := p.wait(t); code != cli.ExitDegraded {
		t.Errorf("exit code %d", code)
	}
	if out := p.stdout.String(); !strings.HasPrefix(out, said) || len(out) <= len(said)+40 {
		t.Errorf("%q went on as %q", said, out)
	}
	lines := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "cloud lost (") || !strings.Contains(lines[0], "the board finished the answer alone") ||
		!strings.Contains(lines[1], "unsplit ") {
		t.Errorf("stderr %q", lines)
	}
}

func TestCloudKilledStops(t *testing.T) {
	if testing.Short() {
		t.Skip("waits as long as for a board that goes on")
	}
	cloud, addr := startCloud(t, "--bundle", bundleDir(t))
	p := start(t, "run", "--bundle", bundleDir(t), "--cloud", addr, "--on-loss", "stop", "--threshold", "1.1", "--max-tokens", "2000", "--ignore-end", "Describe a lighthouse.")
	p.await(t, &p.stdout, "text", func(s string) bool { return len(s) > 40 })
	cloud.signal(t, unix.SIGKILL)
	if code := p.wait(t); code != cli.ExitError {
		t.Errorf("exit code %d", code)
	}
	if e := p.stderr.String(); !strings.HasPrefix(e, "skerry: the cloud was lost: ") || strings.Count(e, "\n") != 1 {
		t.Errorf("stderr %q", e)
	}
}

func TestCloudNotReached(t *testing.T) {
	silent, _ := blackhole(t)
	for name, link := range map[string][]string{
		"refused":   {"--cloud", "127.0.0.1:1"},
		"silent":    {"--cloud", silent},
		"emulated":  {"--cloud", silent, "--link", "rtt=10ms"},
		"no such":   {"--cloud", "cloud.invalid:7537"},
		"lost link": {"--link", "loss=100%"},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "silent" {
				t.Skip("each waits a few seconds")
			}
			t.Parallel() // little but waits
			args := append([]string{"run", "--bundle", bundleDir(t), "--max-tokens", "5", "Hello"}, link...)
			stdout, stderr := expect(t, cli.ExitDegraded, args...)
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			if len(strings.TrimSpace(stdout)) == 0 || len(lines) != 2 || !strings.HasPrefix(lines[0], "skerry: cloud ") ||
				!strings.HasSuffix(lines[0], ": answering alone, with the whole model") {
				t.Errorf("stdout %q, stderr %q", stdout, lines)
			}
			if link[0] == "--cloud" && !strings.Contains(lines[0], link[1]) {
				t.Errorf("%q does not name %s", lines[0], link[1])
			}
			if testing.Short() {
				return
			}
			stdout, stderr = expect(t, cli.ExitError, append(args, "--on-loss", "stop")...)
			if stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "skerry: cloud ") {
				t.Errorf("to stop: stdout %q, stderr %q", stdout, stderr)
			}
		})
	}
}

func TestCloudNotReachedInJSON(t *testing.T) {
	if testing.Short() {
		t.Skip("waits a few seconds")
	}
	silent, _ := blackhole(t)
	r := answer(t, cli.ExitDegraded, "--cloud", silent, "--max-tokens", "5", "Hello")
	if len(r.Tokens) != 5 || r.Usage.BySource[infer.FromUnsplit] == 0 || r.Usage.BySource[infer.FromCloud]+r.Usage.BySource[infer.Fallback] != 0 || r.Link == nil || r.Link.Lost == "" {
		t.Errorf("%v, link %+v", r.Usage.BySource, r.Link)
	}
}

// A mode that has no whole model on the board says what its exits do where nobody answers.
func TestPaperCloudNotReached(t *testing.T) {
	if testing.Short() {
		t.Skip("waits a few seconds")
	}
	t.Parallel() // little but waits
	stdout, stderr := expect(t, cli.ExitDegraded, "run", "--json", "--bundle", tinyBundle(t), "--raw", "--ignore-end", "--threads", "1", "--context", "128",
		"--mode", "paper", "--threshold", "1.1", "--cloud", "127.0.0.1:1", "--max-tokens", "4", "Hello")
	if r := parseReport(t, stdout); len(r.Tokens) != 4 || !strings.Contains(stderr, "answering alone") {
		t.Errorf("%v, %s", r.Usage.BySource, stderr)
	}
}

func TestCloudOfAnotherBundle(t *testing.T) {
	_, addr := startCloud(t, "--bundle", tinyBundle(t))
	args := []string{"run", "--bundle", bundleDir(t), "--cloud", addr, "--max-tokens", "5", "Hello"}
	stdout, stderr := expect(t, cli.ExitDegraded, args...)
	for _, want := range []string{"lacks this model", "tiny (", "alone, with the whole model"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr %q lacks %q", stderr, want)
		}
	}
	if len(strings.TrimSpace(stdout)) == 0 {
		t.Error("no answer")
	}
	stdout, stderr = expect(t, cli.ExitError, append(args, "--on-loss", "stop")...)
	if stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "tiny (") {
		t.Errorf("to stop: stdout %q, stderr %q", stdout, stderr)
	}
}

// A board that cannot hold the whole model says that it cannot answer, before it says
// anything, where its cloud cannot be reached; and ends an answer with a word where the
// cloud is lost in the middle, to go on with once it is back.
func TestNobodyAnswersWithoutTheCloud(t *testing.T) {
	dir := withoutRest(t, bundleDir(t))
	silent, _ := blackhole(t)
	stdout, stderr := expect(t, cli.ExitError, "run", "--bundle", dir, "--cloud", silent, "--max-tokens", "5", "Hello")
	if stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "nothing on this board may answer in its place") || !strings.Contains(stderr, "--mode standalone") {
		t.Errorf("not reached: stdout %q, stderr %q", stdout, stderr)
	}
	stdout, stderr = expect(t, 0, "run", "--bundle", dir, "--mode", "standalone", "--max-tokens", "5", "Hello")
	if len(strings.TrimSpace(stdout)) == 0 || !regexp.MustCompile(`what the exits guess: of the tokens of the exit after block 20, \d+ % agree`).MatchString(stderr) {
		t.Errorf("standalone: stdout %q, stderr %q", stdout, stderr)
	}
	if testing.Short() {
		return // an answer waits ten seconds for a cloud that is gone
	}
	state := t.TempDir()
	cloud, addr := startCloud(t, "--bundle", bundleDir(t), "--state", state)
	args := []string{"run", "--bundle", dir, "--state", state, "--session", "s", "--cloud", addr, "--threshold", "1.1", "--max-tokens", "400", "--ignore-end", "Describe a lighthouse."}
	p := start(t, args...)
	p.await(t, &p.stdout, "text", func(s string) bool { return len(s) > 40 })
	cloud.signal(t, unix.SIGKILL)
	if code := p.wait(t); code != cli.ExitError || !strings.Contains(p.stderr.String(), "run the same command again to go on") {
		t.Errorf("exit code %d, stderr %q", code, p.stderr.String())
	}
	want, _ := expect(t, 0, "run", "--bundle", bundleDir(t), "--mode", "unsplit", "--max-tokens", "64", "--ignore-end", "Describe a lighthouse.")
	want, said := strings.TrimSuffix(want, "\n"), strings.TrimSuffix(p.stdout.String(), "\n")
	if n := min(len(said), len(want)); said[:n] != want[:n] {
		t.Errorf("said %q, the whole model %q", said, want)
	}
}

// withoutRest is a bundle with the board's files alone.
func withoutRest(t *testing.T, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), filepath.Base(from))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(from, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := filepath.Base(file); name == "cloud.gguf" || name == "unsplit.gguf" {
			continue
		}
		if err := os.Symlink(file, filepath.Join(dir, filepath.Base(file))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
