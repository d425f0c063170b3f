package cli

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// desk is a person before a terminal on which a Prompt asks.
type desk struct {
	t          *testing.T
	keys       *os.File
	interrupts chan os.Signal
	answers    chan string // questions, and "left" once the person has
	done       []string    // by commands

	mu     sync.Mutex // guards all following fields
	screen bytes.Buffer
}

func sit(t *testing.T) *desk {
	t.Helper()
	t.Setenv("TERM", "xterm")
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	// Closing a file ends a read of it only where the file does not block.
	fd, err := syscall.Dup(int(master.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	master.Close()
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	keys := os.NewFile(uintptr(fd), "keys")
	d := &desk{t: t, keys: keys, interrupts: make(chan os.Signal, 1), answers: make(chan string, 100)}
	c := &Console{Stdin: tty, Stdout: tty, Stderr: tty}
	p := NewPrompt(c, Command{Name: "/note", Args: "WORDS", Help: "Note words.", Do: func(args string) error {
		d.done = append(d.done, args)
		return nil
	}})
	p.Remember("from before")
	var work sync.WaitGroup
	work.Go(func() {
		defer close(d.answers)
		for {
			q, err := p.Next(t.Context(), d.interrupts)
			if err != nil {
				d.answers <- map[bool]string{true: "left", false: "failed"}[errors.Is(err, io.EOF)]
				return
			}
			d.answers <- q
		}
	})
	work.Go(func() {
		b := make([]byte, 4096)
		for {
			n, err := keys.Read(b)
			d.mu.Lock()
			d.screen.Write(b[:n])
			d.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		select {
		case d.interrupts <- os.Interrupt:
		default:
		}
		for range d.answers {
		}
		p.Close()
		tty.Close()
		keys.Close()
		work.Wait()
	})
	d.asked(1)
	return d
}

// asked waits until the prompt is there, for the nth time: before, Ctrl-C is a signal.
func (d *desk) asked(n int) {
	d.t.Helper()
	d.sees("\x1b[?2004h> ", n)
}

func (d *desk) seen() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.screen.String()
}

// sees waits for text on the screen, for so many times of it.
func (d *desk) sees(text string, n int) {
	d.t.Helper()
	for end := time.Now().Add(time.Minute); strings.Count(d.seen(), text) < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			d.t.Fatalf("%q is not seen %d times in %q", text, n, d.seen())
		}
	}
}

func (d *desk) types(keys string) {
	d.t.Helper()
	if _, err := io.WriteString(d.keys, keys); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) hears(want string) {
	d.t.Helper()
	select {
	case got := <-d.answers:
		if got != want {
			d.t.Fatalf("%q was asked, not %q; the screen: %q", got, want, d.seen())
		}
	case <-time.After(time.Minute):
		d.t.Fatalf("%q was not asked; the screen: %q", want, d.seen())
	}
}

const up, down, home = "\x1b[A", "\x1b[B", "\x1b[H"

func TestPromptEditsAndRemembers(t *testing.T) {
	d := sit(t)
	d.types("wht is it?" + home + strings.Repeat("\x1b[C", 2) + "a\r")
	d.hears("what is it?")
	d.types("another\r")
	d.hears("another")
	d.types(up + up + "!\r")
	d.hears("what is it?!")
	d.types(up + up + up + up + "\r")
	d.hears("from before")
	d.types("x" + up + down + "y\r")
	d.hears("xy")
	d.types("\x1b[200~one\rtwo\r\x1b[201~three\r") // pasted
	d.hears("one\ntwo\nthree")
	d.types("/etc/hosts?\r")
	d.hears("/etc/hosts?")
}

func TestPromptTakesSeveralLines(t *testing.T) {
	d := sit(t)
	d.types("\"\"\"\r  one\r\r/bye\r\"\"\"\r")
	d.hears("  one\n\n/bye")
	d.types("\"\"\"one line\"\"\"\r")
	d.hears("one line")
	d.asked(3)
	d.types("\"\"\"dropped\r")
	d.sees("\x1b[?2004h... ", 5) // four of the first
	d.types("more\x03")
	d.sees("Ctrl-C once more leaves", 1)
	d.asked(4)
	d.types("\"\"\"\"\"\"\rkept\r")
	d.hears("kept")
}

func TestPromptDoesCommands(t *testing.T) {
	d := sit(t)
	d.types("/note a  b \r/help\r/nothing\r\rend\r")
	d.hears("end")
	if len(d.done) != 1 || d.done[0] != "a  b" {
		t.Errorf("done: %q", d.done)
	}
	for _, want := range []string{"/note WORDS", "Note words.", "/bye", `"""`, "there is no /nothing: /help"} {
		d.sees(want, 1)
	}
	d.types("/bye\r")
	d.hears("left")
}

// Ctrl-C drops the line, and only twice ends the chat; between lines the terminal is as it was.
func TestPromptIsLeft(t *testing.T) {
	for name, keys := range map[string]string{"end of input": "\x04", "command": "/exit\r"} {
		t.Run(name, func(t *testing.T) {
			d := sit(t)
			d.types("half a\x03")
			d.sees("Ctrl-C once more leaves", 1)
			d.asked(2)
			d.types("whole\r")
			d.hears("whole")
			d.asked(3)
			d.types("\x03")
			d.sees("Ctrl-C once more leaves", 2)
			d.asked(4)
			d.types(keys)
			d.hears("left")
		})
	}
	t.Run("twice", func(t *testing.T) {
		d := sit(t)
		before, err := term.GetState(int(d.keys.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		d.types("\x03")
		d.sees("Ctrl-C once more leaves", 1)
		d.asked(2)
		d.types("\x03")
		d.hears("left")
		if after, err := term.GetState(int(d.keys.Fd())); err != nil || *after == *before {
			t.Errorf("the terminal is still that of the prompt, %v", err)
		}
	})
	t.Run("interrupt", func(t *testing.T) {
		d := sit(t)
		d.interrupts <- os.Interrupt
		d.hears("left")
	})
}
