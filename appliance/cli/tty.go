package cli

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/term"
)

// TTY is the terminal that the program has, as a line whose Close ends what is read and
// written.
type TTY struct {
	in      io.ReadCloser
	out     *os.File
	size    int  // descriptor of what has a size
	Raw     bool // keys come as they are pressed
	restore func()
}

// OpenTTY makes a TTY of stdin and stdout, raw where stdin is a terminal. Restore puts
// the terminal back.
func OpenTTY(c *Console) (*TTY, error) {
	t := &TTY{out: c.Stdout, size: int(c.Stdout.Fd()), restore: func() {}}
	in := int(c.Stdin.Fd())
	if !term.IsTerminal(in) {
		t.in = detach(c.Stdin)
	} else {
		was, err := term.MakeRaw(in)
		if err != nil {
			return nil, err
		}
		t.Raw, t.restore = true, func() { term.Restore(in, was) }
		if t.in, err = reopen(in, os.O_RDONLY); err != nil {
			t.in = detach(c.Stdin)
		}
	}
	if term.IsTerminal(int(c.Stdout.Fd())) {
		if w, err := reopen(int(c.Stdout.Fd()), os.O_WRONLY); err == nil {
			t.out = w
		}
	}
	return t, nil
}

// Restore leaves the terminal as it was, once the TTY is no longer used.
func (t *TTY) Restore() {
	if t.out != os.Stdout {
		t.out.Close()
	}
	t.restore()
}

// reopen opens a terminal again, so that Close ends a Read or Write of it, and
// nobody else who has it is made non-blocking.
func reopen(fd, how int) (*os.File, error) {
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), how|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
}

// detach makes a reader whose Close ends a Read, of a file where nothing does: what
// waits for the file then ends with the program.
func detach(f io.Reader) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, f)
		w.CloseWithError(err)
	}()
	return r
}

func (t *TTY) Read(b []byte) (int, error)  { return t.in.Read(b) }
func (t *TTY) Write(b []byte) (int, error) { return t.out.Write(b) }

// Close ends what goes on. Stdout itself stays open.
func (t *TTY) Close() error {
	if t.out != os.Stdout {
		t.out.Close()
	}
	return t.in.Close()
}

// Size of the terminal, 80 by 24 where it does not say.
func (t *TTY) Size() (width, height int) {
	w, h, err := term.GetSize(t.size)
	if err != nil || w == 0 || h == 0 {
		return 80, 24
	}
	return w, h
}
