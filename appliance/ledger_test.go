package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/conversation"
)

// follower is a board whose events are read as it says them.
type follower struct {
	*process
	lines  chan []byte
	pause  atomic.Int64  // nothing is read after the token of this index, until resume is closed
	resume chan struct{} // closed by the end of the board
	killed bool
}

func follow(t testing.TB, args ...string) *follower {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{process: &process{cmd: exec.Command("skerry", args...), done: make(chan struct{})}, lines: make(chan []byte, 1024), resume: make(chan struct{})}
	f.pause.Store(-1)
	lineByLine(t, w)
	f.cmd.Stdout, f.cmd.Stderr = w, &f.stderr
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(f.lines)
		defer r.Close()
		for in := bufio.NewReader(r); ; {
			line, err := in.ReadBytes('\n')
			if err != nil { // a line cut by a kill was never said
				if err != io.EOF {
					f.stderr.Write([]byte(err.Error()))
				}
				return
			}
			f.lines <- bytes.Clone(line)
			var e conversation.Event
			if json.Unmarshal(line, &e) == nil && e.Event == "token" && int64(e.Index) == f.pause.Load() {
				<-f.resume
			}
		}
	}()
	go func() {
		defer close(f.done)
		f.cmd.Wait()
		close(f.resume)
		<-read
	}()
	t.Cleanup(func() {
		f.cmd.Process.Kill()
		for range f.lines {
		}
		<-f.done
	})
	return f
}

// lineByLine has a pipe hold one write at a time: who writes to it is at most a line
// ahead of the reader.
func lineByLine(t testing.TB, w *os.File) {
	t.Helper()
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if _, err = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, os.Getpagesize()); err == nil {
			_, err = unix.FcntlInt(fd, unix.F_SETFL, unix.O_WRONLY|unix.O_DIRECT)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// kill ends the board with SIGKILL, unless it has ended.
func (f *follower) kill(t testing.TB) {
	t.Helper()
	f.killed = true
	if err := f.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// rest takes in what was said before the end of the board, and reports whether the
// answer is whole.
func (f *follower) rest(l *ledger) (whole bool) {
	for line := range f.lines {
		whole = l.take(line) || whole
	}
	return whole
}

// readTo takes in events until so many tokens were said, and reports whether the answer
// is whole.
func (f *follower) readTo(tokens int, l *ledger) (whole bool) {
	for len(l.said) < tokens && !whole {
		whole = f.readFor(time.Millisecond, l)
	}
	return whole
}

// readFor takes in events for a while and reports whether the answer is whole.
// Silence that lasts beyond patience fails the test.
func (f *follower) readFor(d time.Duration, l *ledger) bool {
	l.c.t.Helper()
	until := time.After(d)
	for {
		select {
		case line, ok := <-f.lines:
			if !ok {
				l.c.t.Fatalf("the board has ended: %s", f.stderr.String())
			}
			l.last = time.Now()
			if l.take(line) {
				return true
			}
		case <-until:
			if time.Since(l.last) > patience {
				l.c.t.Fatalf("the board is stuck: %s\ncloud: %s", f.stderr.String(), l.c.cloud.stderr.String())
			}
			return false
		}
	}
}

// ledger holds what a board says over its lives against what it should say.
type ledger struct {
	c         *chaos
	committed bool // every token said was in the journal before
	said      []int32
	last      time.Time
}

func newLedger(c *chaos, committed bool) *ledger {
	return &ledger{c: c, committed: committed, last: time.Now()}
}

// take reads one line and reports whether the answer has ended.
func (l *ledger) take(line []byte) (ended bool) {
	var e conversation.Event
	if err := json.Unmarshal(line, &e); err != nil {
		l.c.t.Errorf("event %q: %v", line, err)
		return false
	}
	switch e.Event {
	case "begin":
		l.begin(e)
	case "token":
		l.token(e)
	case "end":
		return true
	}
	return false
}

// begin compares the journal that a new life starts from.
func (l *ledger) begin(e conversation.Event) {
	c := l.c
	switch {
	case l.committed && len(e.Said) < len(l.said):
		c.lost += len(l.said) - len(e.Said)
		c.t.Errorf("%s: the journal has %d tokens, %d were said after they were written down", c.name, len(e.Said), len(l.said))
	case len(e.Said) > len(c.want), !slices.Equal(e.Said, c.want[:len(e.Said)]):
		l.differs(e.Said)
	}
	l.said = slices.Clone(e.Said)
}

// token is the next one, or the followers of the board have lost or doubled some.
func (l *ledger) token(e conversation.Event) {
	c := l.c
	switch i := len(l.said); {
	case e.Index > i:
		c.lost += e.Index - i
		c.t.Errorf("%s: token %d comes after %d", c.name, e.Index, i-1)
	case e.Index < i:
		c.doubled++
		c.t.Errorf("%s: token %d comes again after %d", c.name, e.Index, i-1)
	case i >= len(c.want) || e.Token.ID != c.want[i]:
		c.changed++
		c.t.Errorf("%s: token %d is %d, margin %.3f, source %s (%s)", c.name, i, e.Token.ID, e.Token.Margin, e.Token.Source, e.Token.Why)
	}
	l.said = append(l.said, e.Token.ID)
}

// differs counts a journal that is no beginning of the answer.
func (l *ledger) differs(said []int32) {
	c := l.c
	same := 0
	for same < min(len(said), len(c.want)) && said[same] == c.want[same] {
		same++
	}
	if same > 0 && same < len(said) && said[same] == said[same-1] {
		c.doubled++
	} else {
		c.changed++
	}
	c.t.Errorf("%s: the journal parts from the answer at token %d: %v", c.name, same, said)
}

// end checks the whole answer.
func (l *ledger) end() {
	c := l.c
	if len(l.said) < len(c.want) {
		c.lost += len(c.want) - len(l.said)
		c.t.Errorf("%s: %d tokens of %d were said", c.name, len(l.said), len(c.want))
	}
}
