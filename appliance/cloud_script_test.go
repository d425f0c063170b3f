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

	"github.com/rogpeppe/go-internal/testscript"

	"skerry/appliance/cli"
	"skerry/appliance/cloudnode/child"
	"skerry/cloudlink/trust"
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
	var a child.Announcement
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
	for typed, want := range map[string]trust.Disclosure{"text\n": trust.Text, "\nall\n HIDDEN \n": trust.Hidden, "nothing\nmore": trust.Nothing, "no end": "", "": ""} {
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
		may, err := askMay(&cli.Console{Stdin: r, Stdout: hear, Stderr: hear})
		hear.Close()
		text, _ := io.ReadAll(said)
		said.Close()
		r.Close()
		if may != want || (err == nil) != (want != "") || !bytes.Contains(text, []byte("hidden states")) {
			t.Errorf("%q: %q, %v after %q", typed, may, err, text)
		}
	}
}
