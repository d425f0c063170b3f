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

	"skerry/appliance/cli"
	"skerry/appliance/cloudnode"
	"skerry/appliance/cloudnode/child"
	"skerry/cloudlink/partition"
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

// `skerry cloud load` says what is in memory, the sessions, the queue and T.
func TestCloudLoadIsShown(t *testing.T) {
	stage := partition.StageStats{
		Bundle: "tiny", Sequences: 8, Context: 1024, Weights: 100 << 20, KV: 960 << 20, Sessions: 2, Kept: 1,
		Positions: 300, Queued: 17, Waiting: 3, Pass: 18 * time.Millisecond, PerRow: 4 * time.Millisecond,
	}
	whole := stage
	whole.Whole = true
	load := &cloudnode.Load{
		Resident: 1200 << 20,
		Stats: partition.Stats{
			Sessions: 2, Queued: 17, Waiting: 3, Memory: partition.Memory{Budget: 1 << 30, Asks: 5 << 20},
			Stages: []partition.StageStats{stage, whole},
		},
	}
	var b bytes.Buffer
	if err := printLoad(&b, load); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"process   1.3 GB in memory\n", "asks 5.2 MB,", "queue     17 positions, 3 asks;",
		"tiny           105 MB    1.0 GB  2 of 8       1  300 of 8192         17     3  18ms  4ms\n", "tiny (whole)  ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
