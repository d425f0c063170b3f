package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"

	"skerry/appliance/cli"
	"skerry/appliance/conversation"
)

type runCmd struct {
	Prompt []string `arg:"" optional:"" help:"Answer this prompt. Without one it is read from stdin, or a chat begins."`
	conversation.Flags
}

func (c *runCmd) Run(ctx context.Context, out *cli.Console) (err error) {
	talk, err := conversation.New(c.Flags, out, version)
	if err != nil {
		return cli.Usagef("%w", err)
	}
	prompt, chat, err := c.prompt(out)
	if err != nil {
		return err
	}
	talk.Piped = len(c.Prompt) == 0 && !chat
	defer func() {
		if e := talk.Close(); err == nil {
			err = e
		}
	}()
	if err := talk.Open(ctx); err != nil {
		return err
	}
	if chat {
		return talk.Chat(ctx)
	}
	return talk.Ask(ctx, prompt)
}

// prompt from the arguments, else from stdin where it is not a terminal, else a
// chat. Arguments win: a script that has something on stdin may still pass one.
func (c *runCmd) prompt(out *cli.Console) (prompt string, chat bool, err error) {
	if len(c.Prompt) > 0 {
		prompt = strings.Join(c.Prompt, " ")
	} else if term.IsTerminal(int(out.Stdin.Fd())) {
		return "", true, nil
	} else {
		data, err := io.ReadAll(io.LimitReader(out.Stdin, 16<<20))
		if err != nil {
			return "", false, fmt.Errorf("reading the prompt from stdin: %w", err)
		}
		prompt = strings.TrimSuffix(string(data), "\n")
	}
	if strings.TrimSpace(prompt) == "" {
		return "", false, cli.Usagef("the prompt is empty: give one as argument or on stdin")
	}
	return prompt, false, nil
}
