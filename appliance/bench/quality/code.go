package quality

import (
	"context"
	"strings"

	"skerry/appliance/bench/quality/sandbox"
)

// Runner runs the parts of a program one after the other; *sandbox.Sandbox is one.
type Runner interface {
	Run(ctx context.Context, parts ...string) (sandbox.Result, error)
}

// programOf is the program in an answer: the first block in a fence that defines a function,
// else the first such block, else all of it.
func programOf(said string) string {
	first, found := "", false
	for rest := said; ; {
		_, after, ok := strings.Cut(rest, fence)
		if !ok {
			break
		}
		_, block, _ := strings.Cut(after, "\n") // behind the name of the language
		block, rest, _ = strings.Cut(block, fence)
		if strings.Contains(block, "def ") {
			return block
		}
		if !found {
			first, found = block, true
		}
	}
	if found {
		return first
	}
	return said
}

const fence = "```"

// passes runs the program of an answer with the tests of its task.
func passes(ctx context.Context, r Runner, i Item, said string) (float64, error) {
	result, err := r.Run(ctx, programOf(said), i.Tests)
	if err != nil || result.Verdict != sandbox.Passed {
		return 0, err
	}
	return 1, nil
}
