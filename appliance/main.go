// Command skerry makes a small board answer like the large model it cannot hold.
//
// One file per verb; this one parses the command line and turns errors into
// exit codes. Package main is the only place that knows every other package.
// Answers go to stdout, all else to stderr.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitOK       = 0
	exitError    = 1
	exitUsage    = 2
	exitDaemon   = 3 // the daemon is not reachable
	exitDegraded = 4 // an answer was given, but not as asked for: the cloud was lost
)

const usage = `skerry makes a small board answer like the large model it cannot hold.

The board runs the first blocks of a language model and says a token itself where
an early exit is confident; otherwise a cloud partition finishes the pass.

Examples:
  skerry run "What is a lighthouse for?"    answer with the default model, and
                                            with a cloud that is started here
  skerry run --mode standalone "Hello"      never ask the cloud
  skerry run --threshold 1.1 --json "Hello" every token from the cloud; JSON
  skerry run --link rtt=80ms,rate=2mbit "Hi"
                                            with a slow link before the cloud
  echo "Hello" | skerry run                 the prompt from stdin
  skerry run --session trip "Plan a trip"   keep it: after a crash the same
                                            command goes on in mid-answer
  skerry cloud --listen 127.0.0.1:7537      serve the tail stage to boards
  skerry cloud init                         make certificates, to serve boards
                                            on other machines
  skerry cloud invite --name shed           a code for one of them; there:
  skerry enroll CODE                        make this board known to its cloud
  skerry link test                          what works on the way to the cloud
  skerry model split model.gguf -o DIR      prepare another model
`

type cli struct {
	Run     runCmd     `cmd:"" help:"Answer a prompt, or chat."`
	Cloud   cloudCmd   `cmd:"" help:"Serve the cloud partition; invite, list and revoke boards."`
	Enroll  enrollCmd  `cmd:"" help:"Make this board known to a cloud."`
	Link    linkCmd    `cmd:"" help:"Test the link to the cloud."`
	Model   modelCmd   `cmd:"" help:"Fetch, split, inspect and verify models."`
	Bench   benchCmd   `cmd:"" help:"Measure speed."`
	Version versionCmd `cmd:"" help:"Show version, kernels and devices."`
}

// exitCode is an error that knows its exit code and whether it was said already.
type exitCode struct {
	code int
	err  error // nil: everything has been said
}

func (e *exitCode) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}
func (e *exitCode) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exitCode{exitUsage, fmt.Errorf(format, args...)}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// console is what a verb talks through.
type console struct {
	stdin          *os.File
	stdout, stderr *os.File
	view           *tinter // of answers
}

// note writes a line for people to stderr.
func (c *console) note(format string, args ...any) { fmt.Fprintf(c.stderr, format+"\n", args...) }

func run(ctx context.Context, args []string, stdin, stdout, stderr *os.File) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("skerry"), kong.Description(strings.TrimSpace(usage)),
		modelVars(),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{NoExpandSubcommands: true, WrapUpperBound: 90}))
	if err != nil {
		fmt.Fprintln(stderr, "skerry:", err)
		return exitError
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "skerry: %s (skerry --help shows how)\n", oneLine(err))
		return exitUsage
	}
	k.BindTo(ctx, (*context.Context)(nil))
	return report(ctx, k.Run(&console{stdin: stdin, stdout: stdout, stderr: stderr}), stderr)
}

// report says an error in one line and returns the exit code.
func report(ctx context.Context, err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	var e *exitCode
	code := exitError
	if errors.As(err, &e) {
		code = e.code
	}
	switch {
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(stderr, "skerry: interrupted")
		return 128 + int(syscall.SIGINT)
	case err.Error() != "":
		fmt.Fprintln(stderr, "skerry: "+oneLine(err))
	}
	return code
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
