package main

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"

	"skerry/appliance/cli"
	"skerry/appliance/status"
	"skerry/appliance/status/statustest"
)

// sized starts a command on a terminal of that size; the test's end kills it.
func sized(t *testing.T, rows, cols uint16, cmd *exec.Cmd) *terminal {
	t.Helper()
	cmd.Env = append(cmd.Environ(), "TERM=xterm")
	p := &terminal{process: &process{cmd: cmd, done: make(chan struct{})}}
	var err error
	if p.tty, err = pty.StartWithSize(cmd, &pty.Winsize{Rows: rows, Cols: cols}); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		io.Copy(&p.stdout, p.tty) // ends with an error once the program has
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.done
		p.tty.Close()
	})
	return p
}

func (p *terminal) sees(t *testing.T, text string) {
	t.Helper()
	p.await(t, &p.stdout, text, func(s string) bool { return strings.Contains(s, text) })
}

// After \x1b[?1049l the terminal shows what it showed before.
func TestWatchRepaints(t *testing.T) {
	d := fakeAt(t, "calm")
	p := sized(t, 60, 80, exec.Command("skerry", "status", "--watch", "--socket", d.sock))
	p.sees(t, "\x1b[?1049h")
	p.sees(t, "verified")
	d.change(func(s *status.Status) { *s = statustest.LinkDown() })
	p.sees(t, "The cloud cannot be reached")
	if err := pty.Setsize(p.tty, &pty.Winsize{Rows: 10, Cols: 40}); err != nil {
		t.Fatal(err)
	}
	p.sees(t, "\n…\x1b[K\r\n")
	d.stop()
	p.sees(t, "last heard of")
	p.signal(t, os.Interrupt)
	if code := p.wait(t); code != cli.ExitOK {
		t.Errorf("exit code %d", code)
	}
	if said := p.stdout.String(); !strings.HasSuffix(said, "\x1b[?25h\x1b[?1049l") {
		t.Errorf("the terminal is left as %q", said[max(0, len(said)-40):])
	}
}

// Without a terminal there is a line for each change.
func TestWatchLines(t *testing.T) {
	d := fakeAt(t, "calm")
	p := start(t, "status", "--watch", "--socket", d.sock)
	p.await(t, &p.stdout, "line", func(s string) bool { return strings.Count(s, "\n") == 1 })
	d.change(func(s *status.Status) { *s = statustest.LinkDown() })
	p.await(t, &p.stdout, "change", func(s string) bool {
		return strings.Contains(s, "ready  standalone  link down  9.1 tokens/s  2 running  1 waiting  The cloud cannot be reached\n")
	})
	d.stop()
	p.await(t, &p.stderr, "loss", func(s string) bool { return strings.HasPrefix(s, "skerry: the daemon") })
	p.signal(t, os.Interrupt)
	if code := p.wait(t); code != cli.ExitOK || strings.Contains(p.stdout.String(), "\x1b") {
		t.Errorf("exit code %d after %q", code, p.stdout.String())
	}
}

// In a bash that somebody types into.
func TestCompletionInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	d := fakeAt(t, "calm")
	t.Setenv("SKERRY_SOCKET", d.sock)
	t.Setenv("PS1", "$ ")
	p := sized(t, 24, 80, exec.Command(bash, "--norc", "--noprofile", "-i"))
	for _, c := range []struct{ keys, sees string }{
		{"source <(skerry completion bash); echo sour''ced\r", "sourced"},
		{"skerry sess\tsh\tkit\t", "skerry sessions show kitchen-radio "},
		{"\x15skerry stat\t--w\t", "skerry status --watch "},
		{"\x15skerry sessions export workshop --format m\t", "--format markdown "},
		{"\x15skerry doctor --config /etc/hostn\t", "/etc/hostname "},
	} {
		io.WriteString(p.tty, c.keys)
		p.sees(t, c.sees)
	}
}
