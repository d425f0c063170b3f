package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
)

// serveCloud starts a cloud on a port of its own, $CLOUD, and ends it with the
// script or with the next serve. Its log goes to $WORK/cloud.log.
func serveCloud(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: serve STATE [ARGS...]")
	}
	if stop, ok := clouds[ts.Getenv("WORK")]; ok {
		stop()
	}
	cmd := exec.Command("skerry", append([]string{"cloud", "--json", "--listen", "127.0.0.1:0", "--sessions", "2", "--context", "256", "--state"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	log, err := os.Create(ts.Getenv("WORK") + "/cloud.log")
	ts.Check(err)
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	clouds[ts.Getenv("WORK")] = func() {
		delete(clouds, ts.Getenv("WORK"))
		cmd.Process.Signal(os.Interrupt)
		io.Copy(io.Discard, stdout)
		cmd.Wait()
		log.Close()
	}
	ts.Defer(func() {
		if stop, ok := clouds[ts.Getenv("WORK")]; ok {
			stop()
		}
	})
	var a announcement
	if err := json.NewDecoder(bufio.NewReader(stdout)).Decode(&a); err != nil {
		ts.Fatalf("the cloud failed: %s", ts.ReadFile("cloud.log"))
	}
	ts.Setenv("CLOUD", a.Listening)
}

// clouds are those that run, by the directory of their script.
var clouds = map[string]func(){}

// capture sets a variable to the last line of stdout.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: capture NAME")
	}
	lines := strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n")
	ts.Setenv(args[0], lines[len(lines)-1])
}

// TestAskMay: on a terminal it is asked until it is answered.
func TestAskMay(t *testing.T) {
	for typed, want := range map[string]trust.May{"text\n": trust.Text, "\nall\n HIDDEN \n": trust.Hidden, "nothing\nmore": trust.Nothing, "no end": "", "": ""} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		said, hear, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, typed)
		w.Close()
		may, err := askMay(&console{stdin: r, stdout: hear, stderr: hear})
		hear.Close()
		text, _ := io.ReadAll(said)
		said.Close()
		r.Close()
		if may != want || (err == nil) != (want != "") || !bytes.Contains(text, []byte("hidden states")) {
			t.Errorf("%q: %q, %v after %q", typed, may, err, text)
		}
	}
}

// What a board says of itself does nothing to the operator's terminal.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{"": "-", "ok": "ok", "a\x1b[2Jb\n\u009bc": "a?[2Jb??c", "größer": "größer"} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// A board's status shows in the list of the cloud's operator, and one that
// cannot be read hides no board.
func TestDeviceRow(t *testing.T) {
	s := &wire.Status{Version: "v9", Mode: "collaborative", Health: "ok", BytesUp: 3 << 20, Transport: "tcp"}
	b, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	d := trust.Device{Name: "pi", May: trust.Hidden, Epoch: 7, Expires: now.Add(time.Hour), Seen: now.Add(-5 * time.Minute), Status: b}
	want := "pi hidden enrolled 7 5 min ago v9 collaborative ok 3.0 MiB 0 B"
	if got := strings.Join(newDeviceRow(d).cells(now), " "); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	d.Status, d.Revoked = []byte("junk"), true
	if got := strings.Join(newDeviceRow(d).cells(now), " "); got != "pi hidden revoked 7 5 min ago - - - - -" {
		t.Errorf("%q", got)
	}
	d.Revoked = false
	if got := newDeviceRow(d).cells(now.Add(2 * time.Hour))[2]; got != "expired" {
		t.Errorf("%q", got)
	}
}
