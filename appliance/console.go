package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.bug.st/serial"
	"golang.org/x/term"

	serialconsole "skerry/appliance/status/console"
)

type consoleCmd struct {
	daemonFlags
	TTY    string `name:"tty" help:"The serial line to serve, for good. Default: this terminal." placeholder:"DEV" type:"path"`
	Baud   int    `help:"Speed of the serial line, 8N1." default:"115200"`
	NoText bool   `help:"Never show the text of answers here, whoever asks for it."`
}

// Help is shown above the flags.
func (c *consoleCmd) Help() string {
	return `Examples:
  skerry console                            the menu, on this terminal
  skerry console --tty /dev/ttyS0           on a serial line, for good
  skerry console --tty /dev/ttyAMA0 --baud 9600 --no-text
                                            slowly, and no answers

It asks for no password: who holds the line may restart the daemon and shut the board
down. Keys and prompts are never shown; the text of answers only to who types a word
for it, and with --no-text to nobody.
`
}

func (c *consoleCmd) Run(ctx context.Context, out *console) error {
	client := c.dial()
	defer client.Close()
	// A hang-up ends it well, as being stopped does: who started it starts it again.
	hungUp, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	opt := serialconsole.Options{Daemon: consoleDaemon{client}, NoText: c.NoText}
	if c.TTY != "" {
		return c.serial(hungUp, out, opt)
	}
	return here(hungUp, out, opt)
}

// here serves the terminal that the program has.
func here(ctx context.Context, out *console, opt serialconsole.Options) error {
	l := &ownTTY{out: out.stdout, size: int(out.stdout.Fd())}
	opt.Line, opt.Size = l, l.Size
	in := int(out.stdin.Fd())
	if !term.IsTerminal(in) {
		l.in = detach(out.stdin)
	} else {
		was, err := term.MakeRaw(in)
		if err != nil {
			return err
		}
		defer term.Restore(in, was)
		opt.Raw = true
		if l.in, err = reopen(in, os.O_RDONLY); err != nil {
			l.in = detach(out.stdin)
		}
	}
	if term.IsTerminal(int(out.stdout.Fd())) {
		if w, err := reopen(int(out.stdout.Fd()), os.O_WRONLY); err == nil {
			l.out = w
			defer w.Close()
		}
	}
	err := serialconsole.New(opt).Run(ctx)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EIO) { // hung up
		return nil
	}
	return err
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

// ownTTY joins the two halves of the terminal that the program has.
type ownTTY struct {
	in   io.ReadCloser
	out  *os.File
	size int // descriptor of what has a size
}

func (t *ownTTY) Read(b []byte) (int, error)  { return t.in.Read(b) }
func (t *ownTTY) Write(b []byte) (int, error) { return t.out.Write(b) }

// Close ends what goes on. Stdout itself stays open.
func (t *ownTTY) Close() error {
	if t.out != os.Stdout {
		t.out.Close()
	}
	return t.in.Close()
}

// Size of the terminal, 80 by 24 where it does not say.
func (t *ownTTY) Size() (width, height int) {
	w, h, err := term.GetSize(t.size)
	if err != nil || w == 0 || h == 0 {
		return 80, 24
	}
	return w, h
}

// How long to wait for a line that was hung up, or is not there.
const (
	hungUpPause  = time.Second
	missingPause = 5 * time.Second
)

// serial serves a serial line until ctx ends, and opens it again whenever it was
// hung up.
func (c *consoleCmd) serial(ctx context.Context, out *console, opt serialconsole.Options) error {
	opt.Raw = true
	var said string
	for ctx.Err() == nil {
		pause := hungUpPause
		line, err := openSerial(c.TTY, c.Baud)
		if err == nil {
			said = ""
			opt.Line = line
			err = serialconsole.New(opt).Run(ctx)
		} else {
			pause = missingPause
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			out.note("skerry: %s: %s: it is opened again", c.TTY, oneLine(err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// openSerial opens a serial line and sets it to raw bytes at a speed, 8N1. The
// library sets it up; a file reads and writes it, whose calls end on Close.
func openSerial(dev string, baud int) (*os.File, error) {
	f, err := os.OpenFile(dev, os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	port, err := serial.Open(dev, &serial.Mode{BaudRate: baud})
	if err == nil {
		err = port.Close()
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%w (is it a serial line?)", err)
	}
	return f, nil
}
