// Package console is the appliance on a serial line: a banner and a line menu for a
// terminal that can do nothing but print, 80 columns of ASCII at 115200 baud.
//
// It runs in a process of its own and talks to the daemon, so that a line that is
// slow, hung up or full of noise is nobody else's concern. Nothing secret is shown;
// the text of answers only after a word typed for it. What comes from models and
// logs is printed as plain ASCII, so that none of it can command the terminal.
package console

import (
	"context"
	"errors"
	"io"
	"sync"

	"skerry/appliance/status"
)

// Daemon is what the console asks of the daemon. An error of Status means that the
// daemon cannot be reached; all are shown in one line. Methods return soon after ctx
// ends, and those with a callback never call it after they have returned.
type Daemon interface {
	Status(ctx context.Context) (status.Status, error)
	// Logs yields the newest n lines of the log, and then each new one until ctx ends.
	Logs(ctx context.Context, n int, line func(status.Record)) error
	// Tokens yields what is said from now on, until ctx ends.
	Tokens(ctx context.Context, said func([]status.Said)) error
	Restart(ctx context.Context) error
	PowerOff(ctx context.Context) error
}

// Options of a console.
type Options struct {
	// Line is the terminal. Run closes it when it ends, and relies on Close to end a
	// Read or Write under way.
	Line   io.ReadWriteCloser
	Daemon Daemon
	// Raw says that the terminal neither echoes nor edits what is typed, and wants a
	// carriage return before each newline: all that is then done here.
	Raw bool
	// Size of the terminal now, in characters; nil for 80 by 24.
	Size func() (width, height int)
	// NoText leaves out the text of answers, whoever asks for it.
	NoText bool
}

// Console is one terminal.
type Console struct {
	Options
	*printer
	ctx     context.Context // of Run
	keys    chan key        // closed when the line has ended, for the reason why
	why     error
	notices chan string
}

// New makes a console; Run runs it, once.
func New(opt Options) *Console {
	if opt.Size == nil {
		opt.Size = func() (int, int) { return 80, 24 }
	}
	return &Console{
		Options: opt, printer: &printer{to: opt.Line, raw: opt.Raw, size: opt.Size},
		keys: make(chan key, 256), notices: make(chan string, 16),
	}
}

// errLeft says that the user has ended the console.
var errLeft = errors.New("left")

// Run shows the banner and serves the menu. It returns nil after Ctrl-D or when ctx
// ends, and else why the line is no more: io.EOF or its own error, as when it was
// hung up.
func (c *Console) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.ctx = ctx
	var wg sync.WaitGroup
	wg.Go(c.read)
	closeLine := sync.OnceFunc(func() { c.Line.Close() })
	stop := context.AfterFunc(ctx, closeLine)
	st, lost := c.banner()
	wg.Go(func() { c.watch(st, lost) })
	err := c.serve()
	ended := ctx.Err() != nil
	cancel()
	stop()
	closeLine()
	wg.Wait()
	if errors.Is(err, errLeft) || ended {
		return nil
	}
	return err
}

// tooMany wrong lines in a row are noise, or a line that answers itself.
const tooMany = 5

// serve runs the menu until the line, the user or ctx ends it.
func (c *Console) serve() error {
	for wrong := 0; ; {
		typed, err := c.ask(prompt)
		if err == nil {
			var known bool
			known, err = c.choose(typed)
			if !known {
				wrong++
			} else if typed != "" {
				wrong = 0
			}
		}
		if err == nil && wrong >= tooMany {
			wrong, err = 0, c.quiet()
		}
		if err != nil && !errors.Is(err, errInterrupted) {
			return err
		}
	}
}
