package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"
)

// editor reads lines from a terminal that it draws on. Between lines the terminal is as it
// was, so that Ctrl-C is a signal while an answer is printed.
type editor struct {
	fd      int // of stdin, whose modes are changed
	in      *os.File
	out     *os.File
	history history
	keys    *keys
	term    *term.Terminal // which has what was typed ahead; nil after a line that was dropped
}

// newEditor returns nil where there is no terminal to draw on.
func newEditor(c *Console) *editor {
	fd, out := int(c.Stdin.Fd()), c.Stderr
	if !term.IsTerminal(int(out.Fd())) {
		out = c.Stdout
	}
	if os.Getenv("TERM") == "dumb" || !term.IsTerminal(fd) || !term.IsTerminal(int(out.Fd())) {
		return nil
	}
	in, err := reopen(fd, os.O_RDONLY)
	if err != nil {
		return nil
	}
	return &editor{fd: fd, in: in, out: out}
}

func (e *editor) remember(line string) { e.history.Add(line) }

// line is lineReader's. What is pasted is one line, however many it has.
func (e *editor) line(ctx context.Context, interrupts <-chan os.Signal, mark string) (string, error) {
	select {
	case <-interrupts: // as the answer ended
		return "", errDropped
	default:
	}
	was, err := term.MakeRaw(e.fd)
	if err != nil {
		return "", err
	}
	defer term.Restore(e.fd, was)
	if e.term == nil {
		e.keys = &keys{in: e.in}
		e.term = term.NewTerminal(struct {
			io.Reader
			io.Writer
		}{e.keys, e.out}, "")
		e.term.History = &e.history
	}
	t := e.term
	t.SetPrompt(mark)
	t.SetBracketedPasteMode(true)
	defer t.SetBracketedPasteMode(false)
	defer e.watch(ctx, interrupts, t)()
	var pasted []string
	for {
		line, err := t.ReadLine()
		switch {
		case errors.Is(err, term.ErrPasteIndicator):
			pasted = append(pasted, line)
			t.SetPrompt("")
		case err == nil:
			return strings.Join(append(pasted, line), "\n"), nil
		case e.keys.interrupted:
			e.term = nil
			io.WriteString(e.out, "^C\r\n")
			return "", errDropped
		default:
			io.WriteString(e.out, "\r\n")
			return "", io.EOF
		}
	}
}

// watch keeps the size of t that of the terminal, and ends its reading where ctx ends or
// somebody interrupts the program. What it returns ends the watch.
func (e *editor) watch(ctx context.Context, interrupts <-chan os.Signal, t *term.Terminal) (end func()) {
	size := func() {
		if w, h, err := term.GetSize(e.fd); err == nil && w > 0 {
			t.SetSize(w, h)
		}
	}
	size()
	sizes, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(sizes, syscall.SIGWINCH)
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-sizes:
				size()
				continue
			case <-ctx.Done():
			case <-interrupts:
			case <-over:
				return
			}
			e.in.SetReadDeadline(time.Unix(1, 0))
			return
		}
	})
	return func() {
		signal.Stop(sizes)
		close(over)
		watching.Wait()
		e.in.SetReadDeadline(time.Time{})
	}
}

// keys notes Ctrl-C, which the terminal's lines do not tell from their end.
type keys struct {
	in          io.Reader
	interrupted bool
}

func (k *keys) Read(b []byte) (int, error) {
	n, err := k.in.Read(b)
	const ctrlC = 3
	k.interrupted = slices.Contains(b[:n], ctrlC)
	return n, err
}

// mostHistory is how many lines are remembered.
const mostHistory = 500

// history is what was typed, as term.History has it: the newest is at 0.
type history []string

func (h *history) Len() int        { return len(*h) }
func (h *history) At(i int) string { return (*h)[len(*h)-1-i] }

// Add leaves out empty lines, and those that repeat the last.
func (h *history) Add(line string) {
	if line = strings.TrimSpace(line); line == "" || len(*h) > 0 && h.At(0) == line {
		return
	}
	*h = append((*h)[max(0, len(*h)-mostHistory+1):], line)
}

// readLines sends the lines of r and closes the channel at its end. The reader cannot be
// interrupted and ends with the program.
func readLines(r io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		s := bufio.NewScanner(r)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			lines <- s.Text()
		}
	}()
	return lines
}
