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
	"path/filepath"
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
  skerry serve                              the daemon: page and APIs on
                                            http://127.0.0.1:7537/
  skerry cloud --listen 127.0.0.1:7537      serve the tail stage to boards
  skerry cloud init                         make certificates, to serve boards
                                            on other machines
  skerry cloud invite --name shed           a code for one of them; there:
  skerry enroll CODE                        make this board known to its cloud
  skerry link test                          what works on the way to the cloud
  skerry model split model.gguf -o DIR      prepare another model
  skerry status --watch                     how the daemon is, live
  skerry sessions                           the conversations that it keeps
  skerry doctor                             what is wrong, and what to do
`

type cli struct {
	Run           runCmd           `cmd:"" group:"use" help:"Answer a prompt, or chat."`
	Serve         serveCmd         `cmd:"" group:"daemon" help:"Run the daemon: the page and the APIs over the model."`
	Status        statusCmd        `cmd:"" group:"daemon" help:"How the daemon, its board and its link are."`
	Ps            psCmd            `cmd:"" group:"daemon" help:"What is loaded, and who is being answered."`
	Sessions      sessionsCmd      `cmd:"" group:"daemon" help:"List, show, export and forget conversations."`
	Doctor        doctorCmd        `cmd:"" group:"daemon" help:"Find what is wrong here, with the daemon or without."`
	Console       consoleCmd       `cmd:"" group:"daemon" help:"A menu on a serial line, for the simplest terminal."`
	Metrics       metricsCmd       `cmd:"" group:"daemon" help:"Print what shows and watches the daemon's metrics."`
	SupportBundle supportBundleCmd `cmd:"" group:"daemon" help:"Pack what a report of a problem needs, without secrets."`
	Config        configCmd        `cmd:"" group:"daemon" help:"Check, show and explain the settings."`
	Key           keyCmd           `cmd:"" group:"daemon" help:"Make, list and remove the keys of clients on the LAN."`
	Link          linkCmd          `cmd:"" group:"cloud" help:"The link to the cloud: how it is, and what of it works."`
	Enroll        enrollCmd        `cmd:"" group:"cloud" help:"Make this board known to a cloud."`
	Cloud         cloudCmd         `cmd:"" group:"cloud" help:"Serve the cloud partition; invite, list and revoke boards."`
	Model         modelCmd         `cmd:"" group:"model" help:"Fetch, split, inspect and verify models."`
	Bench         benchCmd         `cmd:"" group:"model" help:"Measure speed."`
	Completion    completionCmd    `cmd:"" group:"program" help:"Have a shell complete commands, flags and sessions."`
	Man           manCmd           `cmd:"" group:"program" help:"Print the manual page."`
	Version       versionCmd       `cmd:"" group:"program" help:"Show version, kernels and devices."`
}

// groups head the verbs in the help.
var groups = kong.ExplicitGroups([]kong.Group{
	{Key: "use", Title: "Answers"},
	{Key: "daemon", Title: "The daemon"},
	{Key: "cloud", Title: "The cloud"},
	{Key: "model", Title: "Models"},
	{Key: "program", Title: "This program"},
})

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
	code := run(ctx, arguments(os.Args), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// arguments of a command line. Under the name skerry-cloud the program is the verb
// cloud, for machines that are nothing else.
func arguments(argv []string) []string {
	if filepath.Base(argv[0]) == "skerry-cloud" {
		return append([]string{"cloud"}, argv[1:]...)
	}
	return argv[1:]
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
		groups, modelVars(),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 90}))
	if err != nil {
		fmt.Fprintln(stderr, "skerry:", err)
		return exitError
	}
	if completing() {
		completeLine(ctx, parser)
		return exitOK
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
	if unreachable(err) {
		code = exitDaemon
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
