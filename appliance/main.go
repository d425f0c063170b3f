// Command skerry makes a small board answer like the large model it cannot hold.
//
// One file per verb, but for those that lie in the package that they are all about; this
// one parses the command line and turns errors into exit codes. Package main is the only
// place that knows every other package.
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

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/config"
	"skerry/appliance/fserr"
	"skerry/appliance/status"
	"skerry/appliance/update/install"
)

// program is the command line.
type program struct {
	Run           runCmd           `cmd:"" group:"use" help:"Answer a prompt, or chat."`
	Serve         serveCmd         `cmd:"" group:"daemon" help:"Run the daemon: the page and the APIs over the model."`
	Status        statusCmd        `cmd:"" group:"daemon" help:"Show how the daemon, its board and its link are."`
	Ps            psCmd            `cmd:"" group:"daemon" help:"Show what is loaded, and who is being answered."`
	Sessions      sessionsCmd      `cmd:"" group:"daemon" help:"List, show, export and forget conversations."`
	Doctor        doctorCmd        `cmd:"" group:"daemon" help:"Find what is wrong here, with the daemon or without."`
	Console       consoleCmd       `cmd:"" group:"daemon" help:"Show a menu on a serial line, for the simplest terminal."`
	Metrics       metricsCmd       `cmd:"" group:"daemon" help:"Print what shows and watches the daemon's metrics."`
	SupportBundle supportBundleCmd `cmd:"" group:"daemon" help:"Pack what a report of a problem needs, without secrets."`
	Config        configCmd        `cmd:"" group:"daemon" help:"Check, show and explain the settings."`
	Update        updateCmd        `cmd:"" group:"daemon" help:"Install another version, safely, and go back."`
	Key           keyCmd           `cmd:"" group:"daemon" help:"Make, list and remove the keys of clients on the LAN."`
	Link          linkCmd          `cmd:"" group:"cloud" help:"Show how the link to the cloud is, and test what of it works."`
	Enroll        enrollCmd        `cmd:"" group:"cloud" help:"Make this board known to a cloud."`
	Cloud         cloudCmd         `cmd:"" group:"cloud" help:"Serve the cloud partition; invite, list and revoke boards."`
	Model         modelCmd         `cmd:"" group:"model" help:"Fetch, split, inspect and verify models."`
	Bench         benchCmd         `cmd:"" group:"model" help:"Measure speed and quality."`
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

func main() {
	install.Forward(os.Args)
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

func run(ctx context.Context, args []string, stdin, stdout, stderr *os.File) int {
	var c program
	exited := -1
	parser, err := kong.New(&c, kong.Name("skerry"), kong.Description(strings.TrimSpace(usage)),
		groups, modelVars(),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 90}))
	if err != nil {
		fmt.Fprintln(stderr, "skerry:", err)
		return cli.ExitError
	}
	if cli.Completing() {
		cli.Complete(parser, predictors(ctx))
		return cli.ExitOK
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(cli.JoinNegative(args))
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintln(stderr, "skerry: "+cli.ParseError(err, args))
		return cli.ExitUsage
	}
	k.BindTo(ctx, (*context.Context)(nil))
	k.Bind(cli.Build{Version: version, UpdateKeys: updateKeys})
	return report(ctx, explain(k, k.Run(&cli.Console{Stdin: stdin, Stdout: stdout, Stderr: stderr})), stderr)
}

// otherState is what may be done where the state directory cannot be used.
const otherState = "name another directory with --state"

// explain says of an error of a file system what is in the way.
func explain(k *kong.Context, err error) error {
	state, other := "", ""
	for _, f := range k.Flags() {
		if f.Name == "state" && k.FlagValue(f) != nil {
			state, _ = config.StateDir(fmt.Sprint(k.FlagValue(f)))
		}
	}
	if state != "" && fserr.Below(err, state) {
		other = otherState
	}
	return fserr.Explain(err, state, other)
}

// report says an error in one line and returns the exit code.
func report(ctx context.Context, err error, stderr io.Writer) int {
	if err == nil {
		return cli.ExitOK
	}
	var e *cli.CodeError
	code := cli.ExitError
	if errors.As(err, &e) {
		code = e.Code
	}
	if admin.IsUnreachable(err) {
		code = cli.ExitDaemon
	}
	switch {
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(stderr, "skerry: interrupted")
		return 128 + int(syscall.SIGINT)
	case err.Error() != "":
		fmt.Fprintln(stderr, "skerry: "+status.OneLine(err))
	}
	return code
}
