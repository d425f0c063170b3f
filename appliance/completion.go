package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/posener/complete"

	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Print the completion for bash, zsh or fish."`
}

// Help is shown above the flags.
func (c *completionCmd) Help() string {
	return `It prints what the shell is to read. The names of sessions are asked of the daemon,
if it runs.

Examples:
  source <(skerry completion bash)          for this shell
  skerry completion bash | sudo tee /etc/bash_completion.d/skerry >/dev/null
                                            for everybody, from the next login
  skerry completion zsh >> ~/.zshrc
  skerry completion fish > ~/.config/fish/completions/skerry.fish
`
}

func (c *completionCmd) Run(out *cli.Console) error {
	_, err := fmt.Fprint(out.Stdout, cli.CompletionScript("skerry", c.Shell))
	return err
}

// predictors by the name that fields have them under.
func predictors(ctx context.Context) map[string]complete.Predictor {
	return map[string]complete.Predictor{"session": complete.PredictFunc(func(a complete.Args) []string { return sessionNames(ctx, a) })}
}

// lookUpTime is what a shell is kept waiting for a name at most.
const lookUpTime = time.Second

// sessionNames asks the daemon that the line would ask; none where that fails.
func sessionNames(ctx context.Context, a complete.Args) (names []string) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	d := (&target.Daemon{Socket: cli.FlagOf(a.All, "--socket"), State: cli.FlagOf(a.All, "--state")}).Dial()
	defer d.Close()
	list, err := d.Sessions(ctx)
	if err != nil {
		return nil
	}
	for _, s := range list {
		if !strings.ContainsAny(s.ID, " \t\n\"'\\$`") { // which would want quoting
			names = append(names, s.ID)
		}
	}
	return names
}
