package main

import (
	"context"
	"errors"
	"io"
	"os/signal"
	"syscall"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
	"skerry/appliance/status"
	serialconsole "skerry/appliance/status/console"
)

type consoleCmd struct {
	target.Daemon
	TTY    string `name:"tty" help:"Serve this serial line until it is stopped, instead of this terminal." placeholder:"DEV" type:"path"`
	Baud   int    `help:"Run the serial line at this speed in bits a second, 8N1." default:"115200"`
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

func (c *consoleCmd) Run(ctx context.Context, out *cli.Console) error {
	client := c.Dial()
	defer client.Close()
	// A hang-up ends it well, as being stopped does: who started it starts it again.
	hungUp, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	opt := serialconsole.Options{Daemon: admin.ForConsole{Client: client}, NoText: c.NoText}
	if c.TTY != "" {
		opt.Raw = true
		serialconsole.ServeLine(hungUp, opt, func() (io.ReadWriteCloser, error) { return cli.OpenSerial(c.TTY, c.Baud) },
			func(err error) { out.Note("skerry: %s: %s: it is opened again", c.TTY, status.OneLine(err)) })
		return nil
	}
	return here(hungUp, out, opt)
}

// here serves the terminal that the program has.
func here(ctx context.Context, out *cli.Console, opt serialconsole.Options) error {
	tty, err := cli.OpenTTY(out)
	if err != nil {
		return err
	}
	defer tty.Restore()
	opt.Line, opt.Size, opt.Raw = tty, tty.Size, tty.Raw
	err = serialconsole.New(opt).Run(ctx)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EIO) { // hung up
		return nil
	}
	return err
}
