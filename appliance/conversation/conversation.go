// Package conversation is skerry run: prompts that are asked of whoever answers them here,
// and the answers as a terminal or a program reads them. In a session that is the daemon
// that has the state directory; else a board is opened in this process, with a cloud
// partition beside it where the mode wants one and none is known.
//
//	talk, err := conversation.New(flags, console, version)
//	defer talk.Close()
//	talk.Open(ctx)
//	talk.Ask(ctx, prompt) // or talk.Chat(ctx)
package conversation

import (
	"context"
	"errors"
	"slices"

	"skerry/appliance/cli"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/node"
)

// Conversation is questions to a backend, and the answers as they come.
type Conversation struct {
	Flags
	// Piped says that nobody has typed the prompt: what it names of files are words.
	Piped    bool
	version  string
	from     backend
	out      *cli.Console
	opt      decode.Options
	board    *node.Board // the backend where it was opened in this process, else nil
	local    *localCloud // nil for none
	model    string      // its name
	asked    string      // the model that a daemon is asked for, "" for its default
	view     *cli.TokenPrinter
	chatting bool // an answer that is stopped is not to be gone on with
	degraded bool // a cloud was wanted and was not there at the start
	saidLost bool // that the cloud is lost was said; it stays lost
	closers  []func() error
}

// New checks the flags, before anything is loaded. The version is that of the program.
func New(f Flags, out *cli.Console, version string) (*Conversation, error) {
	opt, err := f.options()
	if err != nil {
		return nil, err
	}
	return &Conversation{Flags: f, version: version, out: out, opt: opt}, nil
}

// Ask has one prompt answered, and prints the answer. Its error carries the exit code.
func (c *Conversation) Ask(ctx context.Context, prompt string) error {
	q, err := c.question(ctx, prompt)
	if err != nil {
		return err
	}
	a, err := c.answer(ctx, func(ctx context.Context) (infer.Answer, error) { return c.ask(ctx, q) })
	if err != nil {
		return err
	}
	return c.verdict(a)
}

// verdict turns how the answer ended into an exit code.
func (c *Conversation) verdict(a transcript) error {
	switch {
	case a.Finish == infer.Cancelled:
		return &cli.CodeError{Code: 130}
	case c.degraded || a.Lost != "" && (a.Returned == 0 || bySource(a.Tokens)[infer.Fallback] > 0):
		return &cli.CodeError{Code: cli.ExitDegraded}
	}
	return nil
}

func (c *Conversation) onClose(f func() error) { c.closers = append(c.closers, f) }

// Close ends what Open has begun.
func (c *Conversation) Close() (err error) {
	for _, f := range slices.Backward(c.closers) {
		err = errors.Join(err, f())
	}
	return err
}
