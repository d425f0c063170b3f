package conversation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// answer asks, prints what comes as it comes, and says how it went.
func (c *Conversation) answer(ctx context.Context, ask func(context.Context) (infer.Answer, error)) (transcript, error) {
	began := time.Now()
	a, err := ask(ctx)
	if err != nil {
		return transcript{}, c.said(ctx, err)
	}
	hearing := ctx
	if c.board != nil { // whose end of an answer that is stopped is heard, too
		hearing = context.WithoutCancel(ctx)
		if c.Session != "" {
			defer context.AfterFunc(ctx, c.board.Interrupt)()
		}
	}
	var ev *events
	if c.Events {
		ev = newEvents(c.out.Stdout)
	}
	got, err := c.hear(a, a.Events(hearing, 0), began, ev)
	c.view.End()
	switch stopped := (*infer.Error)(nil); {
	case err == nil && got.Finish == "":
		return got, c.said(ctx, ctx.Err())
	case errors.As(err, &stopped) && stopped.Code == infer.Stopping && ctx.Err() != nil:
		got.Finish = infer.Cancelled
	case err != nil:
		return got, c.said(ctx, err)
	}
	if err := c.sum(got, ev); err != nil {
		return got, err
	}
	return got, c.deliver()
}

// hear prints the events of an answer as they come, and sums it up. Tokens of which it is not
// known who said them are those of an earlier process.
func (c *Conversation) hear(a infer.Answer, stream func(func(infer.Event) bool), began time.Time, ev *events) (got transcript, err error) {
	prompt, said := a.Begun()
	begun := false
	begin := func() {
		if ev != nil && !begun {
			ev.begin(c.Session, prompt, got.Said)
		}
		begun = true
	}
	if prompt > 0 && said == 0 {
		begin()
	}
	waiting := cli.NewWaiting(c.out, c.JSON || c.Events)
	defer waiting.Clear()
	var text strings.Builder
	for e := range stream {
		waiting.Show(waitingFor(e))
		shown := infer.Token{Text: e.Text}
		for _, t := range e.Tokens {
			if shown.Source = t.Source; t.Source == "" && len(got.Tokens) == 0 {
				got.Said = append(got.Said, t.ID)
				continue
			}
			if begin(); len(got.Tokens) == 0 {
				got.FirstToken = time.Since(began)
			}
			got.Tokens = append(got.Tokens, t)
			if ev != nil {
				ev.token(t)
			}
		}
		text.WriteString(e.Text)
		for _, call := range e.Calls {
			shown.Text += call.Name + call.Arguments
		}
		c.view.Token(shown)
		if e.Kind != infer.End {
			continue
		}
		begin()
		got.Finish, got.Prompt, got.Total, err = e.Finish, e.Usage.Prompt, time.Since(began), e.Err
		if e.Provenance != nil {
			got.Provenance = *e.Provenance
		}
	}
	got.Text = text.String()
	return got, err
}

// said is the error of an answer in the words of a run.
func (c *Conversation) said(ctx context.Context, err error) error {
	told, refused := (*infer.Error)(nil), (*admin.Error)(nil)
	switch {
	case ctx.Err() != nil && c.board == nil && c.from != nil:
		c.out.Tell("(stopped; the daemon goes on with the answer, and the same command shows it)")
		return &cli.CodeError{Code: 130}
	case errors.As(err, &refused) && refused.Code == admin.CodeTooLong:
		return tooLong(refused.Message, "raise context in the daemon's settings")
	case !errors.As(err, &told):
		return err
	case told.Code == infer.TooLong:
		return tooLong(told.Message, "raise the context with --context")
	case told.Reason != "" && c.Session != "":
		return fmt.Errorf("%s (run the same command again to go on)", told.Reason)
	case told.Reason != "":
		return errors.New(told.Reason)
	}
	return err
}

// tooLong is the refusal of a prompt, with how to have more room.
func tooLong(message, how string) error {
	words := strings.Replace(strings.TrimPrefix(message, "prompt is "), ", context ", ", the context ", 1)
	return fmt.Errorf("%w: it is %s", decode.ErrPromptTooLong, strings.Replace(words, "raise num_ctx", how, 1))
}

// sum says how an answer went.
func (c *Conversation) sum(a transcript, ev *events) error {
	if c.board == nil {
		a.Link = linkOf(a.Provenance, nil, "")
	} else if use := c.board.LinkUse(); use != nil {
		a.Link = linkOf(a.Provenance, use, c.Link)
	}
	if a.Mode == "" {
		a.Mode = c.opt.Mode
	}
	switch {
	case ev != nil:
		ev.end(a)
		return ev.err
	case c.JSON:
		cloud := 0
		if c.local != nil {
			cloud = c.local.PID()
		}
		return writeReport(c.out.Stdout, c.model, a, cloud)
	case c.view.Err() != nil:
		return c.view.Err()
	}
	if a.Finish == infer.Cancelled {
		how := "(stopped)"
		if c.board != nil && c.Session != "" && !c.chatting {
			how = "(stopped; the same command goes on with it)"
		}
		c.out.Tell("%s", how)
	}
	if a.Lost != "" && !c.saidLost {
		c.out.Tell("%s", lostLine(a))
	}
	c.saidLost = a.Lost != "" && a.Returned == 0
	c.out.Tell("%s", closingLine(a))
	return nil
}

// deliver notes that the answer was written, all of it, and not only as far as the
// page cache. Only then does the same question mean another answer.
func (c *Conversation) deliver() error {
	if c.board == nil || c.Session == "" {
		return nil
	}
	if err := cli.Flush(c.out.Stdout); err != nil {
		return err
	}
	return c.board.Delivered()
}
