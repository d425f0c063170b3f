package console

import (
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"skerry/appliance/status"
	"skerry/appliance/status/statustest"
)

// errAway is what the client says of a daemon that does not run.
var errAway error = awayError{}

type awayError struct{}

func (e awayError) Error() string { return "the daemon is not running: " + e.Do() }
func (awayError) Do() string      { return "start it with `systemctl start skerry`, or `skerry serve`" }

// fakeDaemon does as it is told and writes it down.
type fakeDaemon struct {
	mu     sync.Mutex // guards all following fields
	st     status.Status
	gone   bool
	refuse error
	orders []string

	records []status.Record
	said    chan []status.Said
}

func newDaemon(st status.Status) *fakeDaemon {
	return &fakeDaemon{st: st, said: make(chan []status.Said)}
}

func (d *fakeDaemon) set(f func(*fakeDaemon)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

func (d *fakeDaemon) away() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return errAway
	}
	return nil
}

func (d *fakeDaemon) Status(context.Context) (status.Status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return status.Status{}, errAway
	}
	return d.st, nil
}

func (d *fakeDaemon) Logs(ctx context.Context, n int, line func(status.Record)) error {
	if err := d.away(); err != nil {
		return err
	}
	for _, r := range d.records {
		line(r)
	}
	<-ctx.Done()
	return nil
}

func (d *fakeDaemon) Tokens(ctx context.Context, said func([]status.Said)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case batch, ok := <-d.said:
			if !ok {
				return errAway
			}
			said(batch)
		}
	}
}

func (d *fakeDaemon) order(what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.orders = append(d.orders, what)
	if d.gone {
		return errAway
	}
	return d.refuse
}

func (d *fakeDaemon) Restart(context.Context) error  { return d.order("restart") }
func (d *fakeDaemon) PowerOff(context.Context) error { return d.order("poweroff") }

func (d *fakeDaemon) ordered() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.orders, " ")
}

// patience bounds how long a test waits for what must come.
const patience = 2 * time.Minute

// user holds the other end of a console's terminal.
type user struct {
	t    *testing.T
	tty  *os.File // the master's side
	line *os.File
	done chan error

	mu   sync.Mutex // guards seen and read
	seen strings.Builder
	read int           // of seen by expect
	more chan struct{} // has one when something was read
}

// openLine makes a pair of terminals whose slave is in raw mode; Close ends what
// goes on at either.
func openLine(t testing.TB) (master, slave *os.File) {
	t.Helper()
	blocking, slave, err := pty.Open()
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	fd, err := unix.Dup(int(blocking.Fd()))
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), blocking.Name())
	name := slave.Name()
	blocking.Close()
	slave.Close()
	if slave, err = os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	conn, err := slave.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	conn.Control(func(fd uintptr) { _, err = term.MakeRaw(int(fd)) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	return master, slave
}

// sit runs a console and sits down before it.
func sit(t *testing.T, opt Options) *user {
	t.Helper()
	u := &user{t: t, done: make(chan error, 1), more: make(chan struct{}, 1)}
	u.tty, u.line = openLine(t)
	opt.Line, opt.Raw = u.line, true
	ctx, cancel := context.WithCancel(t.Context())
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		buf := make([]byte, 4096)
		for {
			n, err := u.tty.Read(buf)
			u.mu.Lock()
			u.seen.Write(buf[:n])
			u.mu.Unlock()
			select {
			case u.more <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		u.done <- New(opt).Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		u.tty.Close()
		<-reading
		if t.Failed() {
			t.Logf("the terminal had:\n%q", u.all())
		}
		checkTerminal(t, u.all())
	})
	return u
}

// checkTerminal fails where a terminal got what could command it.
func checkTerminal(t *testing.T, all string) {
	for i, b := range []byte(all) {
		switch {
		case b >= 0x20 && b < 0x7f, b == '\r', b == '\b':
		case b == '\n' && i > 0 && all[i-1] == '\r':
		default:
			t.Errorf("byte %#x at %d after %q", b, i, all[max(0, i-40):i])
			return
		}
	}
}

func (u *user) all() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen.String()
}

// types sends keys.
func (u *user) types(s string) {
	u.t.Helper()
	if _, err := io.WriteString(u.tty, s); err != nil {
		u.t.Fatal(err)
	}
}

// expect waits for a text after the last that was expected, and returns what came
// before it.
func (u *user) expect(want string) (before string) {
	u.t.Helper()
	if !u.await(patience, func(all string) (found bool) {
		before, _, found = strings.Cut(all[u.read:], want)
		return found
	}) {
		u.t.Fatalf("%q did not come", want)
	}
	u.read += len(before) + len(want)
	return before
}

// await waits until what the terminal had pleases ok, and reports whether it did in time:
// that of the console's last words, too, which may be read after its end.
func (u *user) await(patience time.Duration, ok func(all string) bool) bool {
	late := time.After(patience)
	for !ok(u.all()) {
		select {
		case <-u.more:
		case <-late:
			return ok(u.all())
		}
	}
	return true
}

// ends waits for the console to end.
func (u *user) ends() error {
	u.t.Helper()
	select {
	case err := <-u.done:
		u.done <- err
		return err
	case <-time.After(patience):
		u.t.Fatal("the console does not end")
		return nil
	}
}

// busyBoard is a status with problems, a link and sessions.
func busyBoard() status.Status {
	st := statustest.Busy()
	st.Health = []status.Problem{{Code: "too-hot", Title: "Too hot", Severity: status.Warning, Text: "soc is at 84 °C\x1b[2J", Do: "give it air: `skerry status`"}}
	return st
}
