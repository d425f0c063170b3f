package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/posener/complete"
	"github.com/willabides/kongplete"
)

// bashCompletion has the program complete for itself: it is asked by the name it was
// typed by, with the line in the environment. bash and zsh alike.
const bashCompletion = `_%[1]s() {
	local IFS=$'\n'
	COMPREPLY=($(COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" "$1" 2>/dev/null))
}
complete -o default -F _%[1]s %[1]s
`

var completions = map[string]string{
	"bash": bashCompletion,
	"zsh":  "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n" + bashCompletion,
	"fish": `function __%[1]s_complete
	set -lx COMP_LINE (commandline -cp)
	test -z (commandline -ct); and set COMP_LINE "$COMP_LINE "
	%[1]s 2>/dev/null
end
complete -c %[1]s -a "(__%[1]s_complete)"
`,
}

// CompletionScript is what a shell, bash, zsh or fish, is to read so that it completes
// the lines of the program.
func CompletionScript(program, shell string) string { return fmt.Sprintf(completions[shell], program) }

// Completing says whether a shell asks how its line may go on.
func Completing() bool { return os.Getenv("COMP_LINE") != "" }

// Complete answers it. predictors are by the name that the fields of the command line
// have them under.
func Complete(parser *kong.Kong, predictors map[string]complete.Predictor) {
	kongplete.Complete(parser, kongplete.WithPredictors(predictors), kongplete.WithExitFunc(func(int) {}))
}

// FlagOf is the value of a flag on the line, "" without one.
func FlagOf(words []string, flag string) string {
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
