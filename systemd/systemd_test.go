package systemd

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
)

// manager is a notify socket as systemd's.
func manager(t *testing.T) func() string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		c.SetReadDeadline(time.Now().Add(time.Minute))
		buf := make([]byte, 4096)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestNotify(t *testing.T) {
	said := manager(t)
	var n Notifier
	n.Ready("answering\nalone")
	n.Ready("again")
	n.Status("answering alone") // as it was said
	n.Status("cloud good")
	n.Status("cloud good")
	n.Stopping("finishing 2 answers")
	for _, want := range []string{"READY=1\nSTATUS=answering alone", "STATUS=answering alone", "STATUS=cloud good", "STOPPING=1\nSTATUS=finishing 2 answers"} {
		if got := said(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestWatchdogFollowsWork: fed while idle and while work gets on, not while it is
// stuck, and again once it has got on.
func TestWatchdogFollowsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewWatchdog()
		var fed atomic.Int64
		d.feed = func() error { fed.Add(1); return nil }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { d.Run(ctx, 30*time.Second); close(done) }()
		during := func(span time.Duration) int64 {
			before := fed.Load()
			time.Sleep(span)
			synctest.Wait()
			return fed.Load() - before
		}
		synctest.Wait()
		if n := during(time.Minute); n != 6 {
			t.Errorf("idle: fed %d times a minute", n)
		}
		w := d.Begin(20 * time.Second)
		for range 6 {
			if n := during(10 * time.Second); n != 1 {
				t.Errorf("at work: fed %d times in 10 s", n)
			}
			w.Progress()
		}
		during(20 * time.Second)
		if n := during(time.Minute); n != 0 || !d.Stuck() {
			t.Errorf("stuck: fed %d times", n)
		}
		w.Done()
		if n := during(time.Minute); n != 6 || d.Stuck() {
			t.Errorf("done: fed %d times", n)
		}
		cancel()
		<-done
		NewWatchdog().Run(t.Context(), 0) // the unit wants none
	})
}

// TestSockets hands three sockets to a process of its own, as systemd does.
func TestSockets(t *testing.T) {
	if os.Getenv("SKERRY_SOCKETS_CHILD") != "" {
		socketsChild()
		return
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run '^TestSockets$'`, os.Args[0])
	cmd.Env = append(os.Environ(), "SKERRY_SOCKETS_CHILD=1", "LISTEN_FDS=3", "LISTEN_FDNAMES=http:cloud:http")
	for _, s := range []interface{ File() (*os.File, error) }{tcp.(*net.TCPListener), udp.(*net.UDPConn), unix.(*net.UnixListener)} {
		f, err := s.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "http 2 streams, cloud 1 datagrams") {
		t.Errorf("%v\n%s", err, out)
	}
}

func socketsChild() {
	s, err := Inherit()
	if err != nil {
		panic(err)
	}
	io.WriteString(os.Stdout, "http "+string(rune('0'+len(s.Streams["http"])))+" streams, cloud "+string(rune('0'+len(s.Datagrams["cloud"])))+" datagrams\n")
}

func TestNoSockets(t *testing.T) {
	if s, err := sorted(nil); err != nil || len(s.Streams)+len(s.Datagrams) != 0 {
		t.Errorf("%+v %v", s, err)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sorted(map[string][]*os.File{"x": {f}}); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("%v", err)
	}
}

func TestJournal(t *testing.T) {
	type record struct {
		text   string
		p      journal.Priority
		fields map[string]string
	}
	var got []record
	h := NewJournalHandler(slog.LevelInfo)
	h.send = func(text string, p journal.Priority, fields map[string]string) error {
		got = append(got, record{text, p, fields})
		return nil
	}
	log := slog.New(h).With("session", "trip").WithGroup("link")
	log.Debug("not wanted")
	log.Warn("link lost", "why", "timed out", slog.Group("rtt", "ms", 12))
	if len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	r := got[0]
	if r.text != "link lost session=trip link_why=timed out link_rtt_ms=12" || r.p != journal.PriWarning ||
		r.fields["SKERRY_SESSION"] != "trip" || r.fields["SKERRY_LINK_WHY"] != "timed out" || r.fields["SKERRY_LINK_RTT_MS"] != "12" {
		t.Errorf("%+v", r)
	}
}
