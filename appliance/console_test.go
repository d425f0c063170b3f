package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"skerry/appliance/cli"
	"skerry/appliance/status"
)

// seat is the far end of a console's line.
type seat struct {
	t   *testing.T
	tty *os.File // the master's side

	seen transcript
	read int // of seen by expect
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
			s.seen.Write(buf[:n])
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
	if !s.sees(want, patience) {
		s.t.Fatalf("%q did not come", want)
	}
}

// sees is expect where a text may not come, within a time.
func (s *seat) sees(want string, within time.Duration) bool {
	for late := time.After(within); ; {
		all, more := s.seen.read()
		if i := strings.Index(all[s.read:], want); i >= 0 {
			s.read += i + len(want)
			return true
		}
		select {
		case <-more:
		case <-late:
			return false
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

func inTime(t *testing.T, code <-chan int) int {
	t.Helper()
	select {
	case c := <-code:
		return c
	case <-time.After(patience):
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
	s.expect("any key to leave")
	for until := time.Now().Add(patience); ; { // what is said before the stream of events has begun is lost
		d.hub.Token(status.Said{Session: "shed", Source: "cloud", Text: "gulls\x1b[2J"})
		if s.sees("<C>gulls.[2J", 50*time.Millisecond) {
			break
		}
		if time.Now().After(until) {
			t.Fatal("no token is shown")
		}
	}
	s.types("x")
	s.expect("skerry> ")
	s.types("6\rrestart\r")
	s.expect("The daemon restarts")
	s.types("7\rshut down\r")
	s.expect("Not done: not allowed to power off: allow it in polkit")
	s.expect("skerry> ")
	s.types("\x04")
	if c := inTime(t, code); c != cli.ExitOK {
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

// A hang-up ends it well, so that who started it starts it again.
func TestConsoleHungUp(t *testing.T) {
	t.Parallel()
	d := fakeAt(t, "calm")
	s, dev := sitDown(t)
	code, _ := runConsole(t, openTTY(t, dev), "--socket", d.sock)
	s.expect("skerry> ")
	s.hangUp()
	if c := inTime(t, code); c != cli.ExitOK {
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
	s.expect("No answer: ")
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
	if c := inTime(t, code); c != cli.ExitOK {
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
	if c := run(t.Context(), []string{"console", "--socket", d.sock}, in, out, out); c != cli.ExitOK {
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
