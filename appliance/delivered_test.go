package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"skerry/appliance/config"
	"skerry/appliance/conversation"
	"skerry/appliance/node"
	"skerry/appliance/node/nodetest"
	"skerry/appliance/server"
	"skerry/storage"
)

// A whole answer whose end was not written belongs to its reader: the same command
// gives it again, and only then is the same question another one.
func TestEndNotDelivered(t *testing.T) {
	tiny := tinyBundle(t)
	const prompt = "Hello, sea."
	command := func(state, prompt string, more ...string) []string {
		return append([]string{"run", "--bundle", tiny, "--raw", "--ignore-end", "--threads", "1", "--context", "512", "--mode", "standalone",
			"--temperature", "1", "--max-tokens", "40", "--session", "s", "--state", state, prompt}, more...)
	}
	want := reportOf(t, command(t.TempDir(), prompt))
	killed := func(t *testing.T, how string) (state string) {
		t.Helper()
		state = t.TempDir()
		killBeforeTheEnd(t, state, command(state, prompt, how))
		return state
	}
	t.Run("events", func(t *testing.T) {
		state := killed(t, "--json")
		for i, said := range []int{40, 0} { // delivered by the first, asked anew by the second
			out, _ := expect(t, 0, command(state, prompt, "--events")...)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			e := eventsOf(t, lines)
			if len(e[0].Said) != said || len(lines) != 2+40-said || e[len(e)-1].Event != "end" || e[len(e)-1].Index != 40 {
				t.Errorf("run %d: %d lines after %d tokens said:\n%s", i, len(lines), len(e[0].Said), out)
			}
		}
	})
	t.Run("text", func(t *testing.T) {
		state := killed(t, "--json")
		out, said := expect(t, 0, command(state, prompt)...)
		if strings.TrimSuffix(out, "\n") != want.Text || !strings.Contains(said, "answered by an earlier run") {
			t.Errorf("%q, want %q: %s", out, want.Text, said)
		}
	})
	t.Run("in another mode", func(t *testing.T) {
		state := killed(t, "--json")
		if got := reportOf(t, command(state, prompt, "--mode", "unsplit")); got.Text != want.Text || got.Usage.Journal != 40 {
			t.Errorf("%q, %d of it from the journal", got.Text, got.Usage.Journal)
		}
	})
	t.Run("again", func(t *testing.T) {
		state := killed(t, "--json")
		if got := reportOf(t, command(state, prompt, "--again")); got.Usage.Journal != 0 || got.Text != want.Text {
			t.Errorf("asked anew it has %d tokens of the journal and says %q", got.Usage.Journal, got.Text)
		}
		db := nodetest.OpenDB(t, state)
		defer db.Close()
		if k := keptIn(t, db); len(k.Messages) != 2 || k.Undelivered {
			t.Errorf("kept %+v", k)
		}
	})
	t.Run("another question", func(t *testing.T) {
		state := killed(t, "--json")
		p := start(t, command(state, "Quite another.", "--json")...)
		if p.wait(t) != 0 || !strings.Contains(p.stderr.String(), "was not written to its end") {
			t.Errorf("%s", p.stderr.String())
		}
		db := nodetest.OpenDB(t, state)
		defer db.Close()
		if k := keptIn(t, db); len(k.Messages) != 4 || k.Messages[1].Content != want.Text {
			t.Errorf("kept %+v", k)
		}
	})
	t.Run("a full disk under stdout", func(t *testing.T) {
		state, file := t.TempDir(), "/dev/full"
		full, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			t.Skip(err)
		}
		defer full.Close()
		for _, how := range []string{"--json", "--events", "--seed=1"} {
			cmd := exec.Command("skerry", command(state, prompt, how)...)
			cmd.Stdout = full
			text := &strings.Builder{}
			cmd.Stderr = text
			var exit *exec.ExitError
			if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(text.String(), "no space left on device") {
				t.Errorf("%s: %v, %s", how, err, text)
			}
		}
		if got := reportOf(t, command(state, prompt)); got.Usage.Journal != 40 || got.Text != want.Text {
			t.Errorf("%q, %d of it from the journal", got.Text, got.Usage.Journal)
		}
	})
}

// An answer that fills the context is whole, as one of --max-tokens is.
func TestContextFullBeforeTheEnd(t *testing.T) {
	tiny, state := tinyBundle(t), t.TempDir()
	args := []string{"run", "--bundle", tiny, "--raw", "--ignore-end", "--threads", "1", "--context", "64", "--mode", "standalone",
		"--max-tokens", "0", "--session", "s", "--state", state, "Hello"}
	want := reportOf(t, args)
	if want.Finish != "length" {
		t.Fatalf("it ends with %q", want.Finish)
	}
	loseTheEnd(t, state)
	if got := reportOf(t, args); got.Text != want.Text || got.Finish != "length" {
		t.Errorf("%q (%s), want %q", got.Text, got.Finish, want.Text)
	}
}

// killBeforeTheEnd runs skerry with a stdout that takes nothing, and kills it when its
// answer is whole in the journal.
func killBeforeTheEnd(t *testing.T, state string, args []string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fillPipe(t, w)
	cmd := exec.Command("skerry", args...)
	cmd.Stdout = w
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stderr = &p.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		cmd.Wait()
	}()
	defer func() {
		cmd.Process.Kill()
		<-p.done
	}()
	if !nodetest.Eventually(func() bool {
		select {
		case <-p.done:
			t.Fatalf("it has ended: %s", p.stderr.String())
		default:
		}
		return wholeInJournal(t, state)
	}) {
		t.Fatalf("no whole answer in the journal: %s", p.stderr.String())
	}
}

// fillPipe writes until a pipe takes no more.
func fillPipe(t *testing.T, w *os.File) {
	t.Helper()
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	page := make([]byte, 4096)
	raw.Control(func(fd uintptr) {
		for n := 0; ; n++ {
			if _, err := unix.Write(int(fd), page); errors.Is(err, unix.EAGAIN) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// wholeInJournal looks at a copy: the database belongs to the process that writes it.
func wholeInJournal(t *testing.T, state string) bool {
	t.Helper()
	from, err := os.Open(config.DatabasePath(state))
	if err != nil {
		return false
	}
	defer from.Close()
	path := filepath.Join(t.TempDir(), "copy.db")
	to, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Close()); err != nil {
		t.Fatal(err)
	}
	db, err := storage.Open(path, storage.Options{})
	if err != nil || db.SetAside() != "" { // copied in the midst of a commit
		if err == nil {
			db.Close()
		}
		return false
	}
	defer db.Close()
	for _, r := range recordsIn(db) {
		if r.Finish == "length" {
			return true
		}
	}
	return false
}

func keptIn(t *testing.T, db *storage.DB) server.Record {
	t.Helper()
	log, err := node.Journal{DB: db}.Open("s", false)
	if err != nil {
		t.Fatal(err)
	}
	r, err := log.Record()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func eventsOf(t *testing.T, lines []string) (out []conversation.Event) {
	t.Helper()
	for _, line := range lines {
		var e conversation.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(fmt.Errorf("%w in %q", err, line))
		}
		out = append(out, e)
	}
	return out
}

// recordsIn are the records of a database that can be read, by session.
func recordsIn(db *storage.DB) map[string]server.Record {
	out := map[string]server.Record{}
	for _, m := range db.Sessions() {
		if log, err := (node.Journal{DB: db}).Open(m.ID, false); err == nil {
			if r, err := log.Record(); err == nil {
				out[m.ID] = r
			}
		}
	}
	return out
}
