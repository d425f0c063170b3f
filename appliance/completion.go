package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/posener/complete"
	"github.com/willabides/kongplete"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
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

// bashCompletion has the program complete for itself: it is asked by the name it was
// typed by, with the line in the environment. bash and zsh alike.
const bashCompletion = `_skerry() {
	local IFS=$'\n'
	COMPREPLY=($(COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" "$1" 2>/dev/null))
}
complete -o default -F _skerry skerry
`

var completions = map[string]string{
	"bash": bashCompletion,
	"zsh":  "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n" + bashCompletion,
	"fish": `function __skerry_complete
	set -lx COMP_LINE (commandline -cp)
	test -z (commandline -ct); and set COMP_LINE "$COMP_LINE "
	skerry 2>/dev/null
end
complete -c skerry -a "(__skerry_complete)"
`,
}

func (c *completionCmd) Run(out *console) error {
	_, err := fmt.Fprint(out.stdout, completions[c.Shell])
	return err
}

// completing says whether a shell asks how its line may go on.
func completing() bool { return os.Getenv("COMP_LINE") != "" }

func completeLine(ctx context.Context, parser *kong.Kong) {
	kongplete.Complete(parser, kongplete.WithPredictors(predictors(ctx)), kongplete.WithExitFunc(func(int) {}))
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
	d := (&daemonFlags{Socket: flagOf(a.All, "--socket"), State: flagOf(a.All, "--state")}).dial()
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

// flagOf is the value of a flag on the line, "" without one.
func flagOf(words []string, flag string) string {
	for i, w := range words {
		if v, ok := strings.CutPrefix(w, flag+"="); ok {
			return v
		}
		if w == flag && i+1 < len(words) {
			return words[i+1]
		}
	}
	return ""
}
