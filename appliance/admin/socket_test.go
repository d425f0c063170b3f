package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"skerry/appliance/status"
)

func TestSockets(t *testing.T) {
	t.Setenv("SKERRY_SOCKET", "")
	for _, c := range []struct {
		flag, env string
		want      []string
	}{
		{"", "", []string{"/run/skerry/skerry.sock", "/state/skerry.sock"}},
		{"", "/env", []string{"/env"}},
		{"/flag", "/env", []string{"/flag"}},
	} {
		t.Setenv("SKERRY_SOCKET", c.env)
		if got := Sockets(c.flag, "/state"); !slices.Equal(got, c.want) {
			t.Errorf("flag %q, variable %q: %q", c.flag, c.env, got)
		}
	}
}

// ok answers a status.
func ok(w http.ResponseWriter, r *http.Request) { reply(w, status.Status{Name: "here"}, nil) }

// The first socket that answers is the daemon's; dead ones before it do no harm.
func TestFirstThatAnswers(t *testing.T) {
	live := serve(t, http.HandlerFunc(ok)).sockets[0]
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	c := Dial(filepath.Join(dir, "none.sock"), dead, live)
	defer c.Close()
	if s, err := c.Status(t.Context()); err != nil || s.Name != "here" {
		t.Errorf("%v, %v", s.Name, err)
	}
	for _, sockets := range [][]string{{filepath.Join(dir, "none.sock")}, {dead}, {filepath.Join(dir, "none.sock"), dead}} {
		c := Dial(sockets...)
		_, err := c.Status(t.Context())
		if u := (*Unreachable)(nil); !errors.As(err, &u) || err.Error() != "the daemon is not running: start it with `systemctl start skerry`, or `skerry serve`" {
			t.Errorf("%q: %v", sockets, err)
		}
	}
}

// A path longer than the kernel takes is reached all the same.
func TestLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	at, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	t.Chdir(dir)
	l, err := net.Listen("unix", "s.sock")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(ok)}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	defer func() { s.Close(); <-done }()
	c := Dial(filepath.Join(dir, "s.sock"))
	defer c.Close()
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

// Without permission the group is named that has it.
func TestDenied(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "s.sock")
	if err := os.WriteFile(sock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := &Unreachable{sock, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)}}
	if text := err.Error(); !strings.Contains(text, "no permission for the daemon's socket "+sock) || !strings.Contains(text, "sudo") {
		t.Errorf("%s", text)
	}
	if os.Getuid() != 0 {
		return
	}
	if e := os.Chown(sock, 0, 4); e != nil {
		t.Fatal(e)
	}
	if text := err.Error(); !strings.Contains(text, "sudo usermod -aG adm $USER") {
		t.Errorf("%s", text)
	}
}

// What is given up is no daemon that is lost.
func TestGivenUp(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
