package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"skerry/appliance/status"
	"skerry/appliance/status/health"
)

// seat is the far end of a console's line.
type seat struct {
	t   *testing.T
	tty *os.File // the master's side

	mu   sync.Mutex // guards seen and read
	seen bytes.Buffer
	read int
	done chan struct{}
}

// sitDown makes a pair of terminals, of which dev is the console's. Hanging up ends
// whatever is read from it.
func sitDown(t *testing.T) (s *seat, dev string) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	defer slave.Close()
	defer master.Close()
	fd, err := unix.Dup(int(master.Fd())) // as a file whose Close ends a Read
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	s = &seat{t: t, tty: os.NewFile(uintptr(fd), master.Name()), done: make(chan struct{})}
	keep, err := os.OpenFile(slave.Name(), os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		buf := make([]byte, 4096)
		for {
			n, err := s.tty.Read(buf)
			s.mu.Lock()
			s.seen.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		s.hangUp()
		keep.Close()
		if t.Failed() {
			t.Logf("the terminal had:\n%q", s.seen.String())
		}
	})
	return s, slave.Name()
}

func (s *seat) hangUp() {
	s.tty.Close()
	<-s.done
}

func (s *seat) types(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.tty, keys); err != nil {
		s.t.Fatal(err)
	}
}

// expect waits for a text behind the last one.
func (s *seat) expect(want string) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		s.mu.Lock()
		i := bytes.Index(s.seen.Bytes()[s.read:], []byte(want))
		if i >= 0 {
			s.read += i + len(want)
		}
		s.mu.Unlock()
		if i >= 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%q did not come", want)
		}
	}
}

// runConsole runs the verb with a terminal, until it ends or the test does.
func runConsole(t *testing.T, tty *os.File, args ...string) (code <-chan int, stop func()) {
	t.Helper()
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	var wg sync.WaitGroup
	wg.Go(func() { ended <- run(ctx, append([]string{"console"}, args...), tty, tty, stderr) })
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(func() {
		stop()
		stderr.Close()
		if said, _ := os.ReadFile(stderr.Name()); t.Failed() {
			t.Logf("stderr: %s", said)
		}
	})
	return ended, stop
}

func openTTY(t *testing.T, dev string) *os.File {
	t.Helper()
	f, err := os.OpenFile(dev, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func within30s(t *testing.T, code <-chan int) int {
	t.Helper()
	select {
	case c := <-code:
		return c
	case <-time.After(30 * time.Second):
		t.Fatal("the console does not end")
		return 0
	}
}

// On a terminal of its own, over the daemon's socket: everything of the menu that
// asks the daemon, and the terminal as it was afterwards.
func TestConsoleHere(t *testing.T) {
	t.Parallel()
	d := fakeAt(t, "busy")
	s, dev := sitDown(t)
	tty := openTTY(t, dev)
	was, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	code, _ := runConsole(t, tty, "--socket", d.sock)
	s.expect("skerry-lab")
	s.expect("skerry> ")
	s.types("4\r")
	s.expect("WARN  link lost cloud=cloud.example.net:7537")
	time.Sleep(time.Millisecond) // a later time for what follows
	slog.New(d.logs).Info("a new line")
	s.expect("INFO  a new line")
	s.types("x")
	s.expect("skerry> ")
	s.types("2\rshow\r")
	s.expect("any key ends this")
	for range 200 { // until the stream of events has begun
		d.hub.Token(status.Said{Session: "shed", Source: "cloud", Text: "gulls\x1b[2J"})
		time.Sleep(10 * time.Millisecond)
		if s.has("<C>gulls.[2J") {
			break
		}
	}
	s.expect("<C>gulls.[2J")
	s.types("x")
	s.expect("skerry> ")
	s.types("6\rrestart\r")
	s.expect("It restarts")
	s.types("7\rshut down\r")
	s.expect("Not done: not allowed to power off: allow it in polkit")
	s.expect("skerry> ")
	s.types("\x04")
	if c := within30s(t, code); c != exitOK {
		t.Errorf("exit code %d", c)
	}
	if d.orders[0] != "restart" || len(d.orders) != 1 {
		t.Errorf("the daemon's orders are %v", d.orders)
	}
	if now, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS); err != nil || *now != *was {
		t.Errorf("the terminal is left as %+v (%v), was %+v", now, err, was)
	}
	if n, _ := unix.FcntlInt(tty.Fd(), unix.F_GETFL, 0); n&unix.O_NONBLOCK != 0 {
		t.Error("the terminal is left non-blocking")
	}
}

func (s *seat) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Contains(s.seen.Bytes(), []byte(text))
}

// A hang-up ends it well, so that who started it starts it again.
func TestConsoleHungUp(t *testing.T) {
	t.Parallel()
	d := fakeAt(t, "calm")
	s, dev := sitDown(t)
	code, _ := runConsole(t, openTTY(t, dev), "--socket", d.sock)
	s.expect("skerry> ")
	s.hangUp()
	if c := within30s(t, code); c != exitOK {
		t.Errorf("exit code %d", c)
	}
}

// Without a daemon it says how to start one, and says when it is there.
func TestConsoleDaemonAwayAndBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sock := filepath.Join(dir, "d.sock")
	s, dev := sitDown(t)
	runConsole(t, openTTY(t, dev), "--socket", sock)
	s.expect("`systemctl start skerry`")
	s.expect("skerry> ")
	d, err := startFakeDaemon(sock, "calm")
	if err != nil {
		t.Fatal(err)
	}
	s.expect("The daemon is back: ready")
	d.stop()
	s.expect("No daemon: ")
}

// On a serial line it comes again after every hang-up, and waits for a line that is
// not there.
func TestConsoleSerial(t *testing.T) {
	t.Parallel()
	d := fakeAt(t, "calm")
	link := filepath.Join(t.TempDir(), "ttyX")
	null := openTTY(t, os.DevNull)
	code, stop := runConsole(t, null, "--socket", d.sock, "--tty", link, "--baud", "115200")
	for range 2 {
		s, dev := sitDown(t)
		os.Remove(link)
		if err := os.Symlink(dev, link); err != nil {
			t.Fatal(err)
		}
		s.expect("skerry-lab")
		s.expect("skerry> ")
		s.types("5\r\n")
		s.expect("5\r\n") // echoed by the console: the line is raw
		s.expect("Page ")
		s.types("\x04")
		s.expect("skerry-lab") // a banner for who comes next
		s.hangUp()
	}
	stop()
	if c := within30s(t, code); c != exitOK {
		t.Errorf("stopped, its exit code is %d", c)
	}
}

// From a pipe it needs no terminal, and sends a terminal nothing of one.
func TestConsolePiped(t *testing.T) {
	t.Parallel()
	d := fakeAt(t, "busy")
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "5\nh\n")
	w.Close()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	if c := run(t.Context(), []string{"console", "--socket", d.sock}, in, out, out); c != exitOK {
		t.Errorf("exit code %d", c)
	}
	shown, _ := os.ReadFile(out.Name())
	for _, want := range []string{"skerry-lab", "Cloud cloud.example.net", "Ctrl-C leaves"} {
		if !strings.Contains(string(shown), want) {
			t.Errorf("%q is missing in %s", want, shown)
		}
	}
	if strings.ContainsAny(string(shown), "\r\b") {
		t.Errorf("it is meant for a terminal: %q", shown)
	}
}

var named = regexp.MustCompile("`(?:sudo )?(skerry [^`]*)`")

// Every command that a problem names is one that this program has.
func TestHealthNamesCommands(t *testing.T) {
	for _, p := range health.Declared() {
		for _, m := range named.FindAllStringSubmatch(p.Do, -1) {
			if !isCommand(strings.Fields(m[1])[1:]) {
				t.Errorf("%s: %s is no command", p.Code, m[1])
			}
		}
	}
}

// isCommand says whether the command line is understood, but for its values.
func isCommand(args []string) bool {
	var c cli
	parser, err := kong.New(&c, groups, modelVars(), kong.Exit(func(int) {}), kong.Writers(io.Discard, io.Discard))
	if err != nil {
		return false
	}
	node := parser.Model.Node
	for len(args) > 0 {
		next := (*kong.Node)(nil)
		for _, child := range node.Children {
			if child.Name == args[0] {
				next = child
			}
		}
		if next == nil {
			break
		}
		node, args = next, args[1:]
	}
	values := 0
	for _, a := range args {
		if name, is := strings.CutPrefix(a, "--"); is {
			known := false
			for _, f := range node.Flags {
				known = known || f.Name == name
			}
			if !known {
				return false
			}
			continue
		}
		values++
	}
	return node != parser.Model.Node && (values == 0 || len(node.Positional) > 0 || len(node.Flags) > 0)
}
