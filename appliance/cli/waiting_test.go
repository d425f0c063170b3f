package cli

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// waited is what a terminal gets of what is waited for.
func waited(t *testing.T, columns uint16, show func(*Waiting), quiet bool) string {
	t.Helper()
	control, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	if err := pty.Setsize(control, &pty.Winsize{Rows: 24, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	show(NewWaiting(&Console{Stderr: tty}, quiet))
	io.WriteString(tty, "|")
	got := make([]byte, 0, 1024)
	for !strings.HasSuffix(string(got), "|") {
		n, err := control.Read(got[len(got):cap(got)])
		if err != nil {
			t.Fatal(err)
		}
		got = got[:len(got)+n]
	}
	tty.Close()
	return string(got)
}

// What is waited for is one line, drawn over what it was, and gone in the end.
func TestWaiting(t *testing.T) {
	t.Setenv("TERM", "xterm")
	both := func(w *Waiting) {
		w.Clear()
		w.Show("3 requests are before")
		w.Show("1 is")
		w.Clear()
		w.Clear()
	}
	if got, want := waited(t, 80, both, false), "\r3 requests are before\r1 is"+strings.Repeat(" ", 17)+"\r    \r|"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	if got, want := waited(t, 10, both, false), "\r3 reques…\r1 is     \r    \r|"; got != want {
		t.Errorf("narrow: %q, not %q", got, want)
	}
	if got := waited(t, 80, both, true); got != "|" {
		t.Errorf("quiet: %q", got)
	}
	t.Setenv("TERM", "dumb")
	if got := waited(t, 80, both, false); got != "|" {
		t.Errorf("dumb: %q", got)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	both(NewWaiting(&Console{Stderr: w}, false))
	w.Close()
	if got, err := io.ReadAll(r); err != nil || len(got) > 0 {
		t.Errorf("into a pipe: %q, %v", got, err)
	}
}
