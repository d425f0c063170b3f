package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"skerry/appliance/status"
)

// negative is a number that begins with a minus sign.
var negative = regexp.MustCompile(`^-\.?[0-9]`)

// JoinNegative writes "--flag -1" as "--flag=-1": no flag here has a digit for its
// short name, and the flag's own check then names its range. Arguments after "--" are
// left alone.
func JoinNegative(args []string) []string {
	out := make([]string, 0, len(args))
	for i, a := range args {
		if a == "--" {
			return append(out, args[i:]...)
		}
		last := len(out) - 1
		if negative.MatchString(a) && last >= 0 && strings.HasPrefix(out[last], "--") && !strings.Contains(out[last], "=") {
			out[last] += "=" + a
			continue
		}
		out = append(out, a)
	}
	return out
}

// foreignVerbs maps verbs that people bring from Ollama, Docker and llama.cpp to the
// commands that do that here.
var foreignVerbs = map[string]string{
	"list":    "`skerry model ls` lists models, `skerry sessions ls` conversations",
	"ls":      "`skerry model ls` lists models, `skerry sessions ls` conversations",
	"models":  "`skerry model ls` lists models",
	"pull":    "`skerry model pull NAME` fetches a model and prepares it, `skerry model pull cloud:NAME` a bundle of the cloud",
	"show":    "`skerry model show NAME` shows a model, `skerry sessions show NAME` a conversation",
	"create":  "`skerry model split SRC.gguf -o DIR` makes a bundle of a GGUF",
	"rm":      "`skerry model rm NAME` removes a model, `skerry sessions rm NAME` forgets a conversation",
	"cp":      "`skerry model cp FROM TO` gives a model a further name",
	"stop":    "`sudo systemctl stop skerry` ends the daemon; Ctrl-C ends an answer",
	"start":   "`skerry serve` is the daemon, `sudo systemctl start skerry` starts the packaged one",
	"chat":    "`skerry run` on a terminal is a chat",
	"ask":     "`skerry run \"PROMPT\"` answers a prompt",
	"logs":    "`journalctl -u skerry` shows the packaged daemon's log",
	"devices": "`skerry cloud devices` lists the boards of a cloud",
	"invite":  "`skerry cloud invite --name NAME` makes a code for a board",
	"keys":    "`skerry key ls` lists the keys of clients",
}

// ParseError says in one line what of a command line is not understood, and where to
// read how it is meant.
func ParseError(err error, args []string) string {
	text := status.OneLine(err)
	verb := "skerry"
	var p *kong.ParseError
	if errors.As(err, &p) && p.Context != nil {
		for _, step := range p.Context.Path {
			if step.Command != nil {
				verb += " " + step.Command.Name
			}
		}
	}
	if do, ok := foreignVerbs[args[0]]; ok && verb == "skerry" {
		return fmt.Sprintf("there is no verb %s here: %s", args[0], do)
	}
	if strings.Contains(text, "did you mean") {
		return text
	}
	return text + " (" + verb + " --help shows how)"
}
