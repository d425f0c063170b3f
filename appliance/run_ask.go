package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/node"
)

// conversation is a run: questions to a backend, and the answers as they come.
type conversation struct {
	*runCmd
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

// session is that of the conversation as far as it has come; the zero value where it is new.
func (r *conversation) session(ctx context.Context) (s admin.Session, err error) {
	if r.Session == "" {
		return s, nil
	}
	if s, err = r.from.Session(ctx, r.Session); errors.Is(err, admin.ErrNotFound) {
		return admin.Session{}, nil
	}
	return s, err
}

// owed reports whether a session still lacks its last answer, or the end of it.
func owed(s admin.Session) bool { return s.Unfinished || s.Undelivered }

// beforeAnswer are the messages up to the last question.
func beforeAnswer(messages []infer.Message) []infer.Message {
	for len(messages) > 0 && messages[len(messages)-1].Role == "assistant" {
		messages = messages[:len(messages)-1]
	}
	return messages
}

// lastQuestion is what was asked last, "" where that is not known.
func lastQuestion(s admin.Session) string {
	if m := beforeAnswer(s.Messages); len(m) > 0 {
		return m[len(m)-1].Content
	}
	return ""
}

// withdrawn are the messages without the last question.
func withdrawn(s admin.Session) []infer.Message {
	m := beforeAnswer(s.Messages)
	return m[:max(len(m)-1, 0)]
}

// ask asks a question in the session, or goes on with the answer to it that the session owes.
func (r *conversation) ask(ctx context.Context, prompt string) (infer.Answer, error) {
	s, err := r.session(ctx)
	if err != nil {
		return nil, err
	}
	history := s.Messages
	switch q := lastQuestion(s); {
	case s.Unkept && !s.Unfinished && !(s.Undelivered && q != "" && prompt == q): // the question is kept until its answer is delivered
		return nil, r.tooLongToAskOn()
	case !owed(s):
	case r.Again && (prompt == q || s.Unfinished):
		history = withdrawn(s)
	case prompt == q:
		return r.resume(ctx, s)
	case s.Unfinished:
		return nil, cli.Usagef("session %s has an answer that is not finished, to %.60q: ask that again to have it finished, give --again to drop it, or begin another session", r.Session, q)
	default:
		r.out.Note("(the answer to %.60q was not written to its end; it is in the conversation)", q)
	}
	return r.from.Ask(ctx, r.request(history, prompt, s))
}

func (r *conversation) tooLongToAskOn() error {
	return cli.Usagef("session %s is too long to be asked on here: its messages are not kept (begin another session)", r.Session)
}

// request is a question after what was said before, with the tools of the session's last. A
// session has those messages already: only what is new is sent.
func (r *conversation) request(history []infer.Message, prompt string, last admin.Session) infer.Request {
	s := &r.opt.Sampling
	q := infer.Request{Session: r.Session, Model: r.asked, Messages: slices.Clip(history), Tools: last.Tools, ParallelTools: last.ParallelTools,
		Options: infer.Options{MaxTokens: r.opt.MaxTokens, Seed: &s.Seed, Temperature: &s.Temperature}}
	if s.Temperature > 0 {
		q.TopK, q.TopP, q.MinP = &s.TopK, &s.TopP, &s.MinP
	}
	if r.board != nil || r.opt.Mode != decode.Collaborative { // which is what a daemon is asked for where nothing else is
		q.Mode = r.opt.Mode
	}
	if len(history) == 0 && r.System != "" {
		q.Messages = append(q.Messages, infer.Message{Role: "system", Content: r.System})
	}
	if r.Raw {
		q.Raw, q.Prompt = true, prompt
	} else {
		q.Messages = append(q.Messages, infer.Message{Role: "user", Content: prompt})
	}
	if r.Session != "" && !r.Raw {
		q.After, q.Messages = new(len(history)), q.Messages[len(history):]
	}
	return q
}

// resume goes on with the answer that the session owes, or gives a whole one again.
func (r *conversation) resume(ctx context.Context, s admin.Session) (infer.Answer, error) {
	if r.board != nil && s.Unfinished && s.Mode != r.Mode {
		return nil, cli.Usagef("session %s has an answer that was cut in mode %s: give --mode %[2]s to have it finished, --again to ask anew, or begin another session", r.Session, s.Mode)
	}
	a, err := r.from.Follow(ctx, infer.Following{Session: r.Session})
	if err != nil {
		return nil, err
	}
	_, said := a.Begun()
	switch {
	case r.board == nil:
		r.out.Note("(the daemon has begun this answer)")
	case said == 0 || r.Events || r.JSON:
	case s.Undelivered:
		r.out.Note("(answered by an earlier run, which did not write it to the end; --again asks anew)")
	default:
		r.out.Note("(going on after %d tokens)", said)
	}
	return a, nil
}

// answer asks, prints what comes as it comes, and says how it went.
func (r *conversation) answer(ctx context.Context, ask func(context.Context) (infer.Answer, error)) (result, error) {
	began := time.Now()
	a, err := ask(ctx)
	if err != nil {
		return result{}, r.said(ctx, err)
	}
	hearing := ctx
	if r.board != nil { // whose end of an answer that is stopped is heard, too
		hearing = context.WithoutCancel(ctx)
		if r.Session != "" {
			defer context.AfterFunc(ctx, r.board.Interrupt)()
		}
	}
	var ev *events
	if r.Events {
		ev = newEvents(r.out.Stdout)
	}
	got, err := r.hear(a, a.Events(hearing, 0), began, ev)
	r.view.End()
	switch stopped := (*infer.Error)(nil); {
	case err == nil && got.Finish == "":
		return got, r.said(ctx, ctx.Err())
	case errors.As(err, &stopped) && stopped.Code == infer.Stopping && ctx.Err() != nil:
		got.Finish = infer.Cancelled
	case err != nil:
		return got, r.said(ctx, err)
	}
	if err := r.sum(got, ev); err != nil {
		return got, err
	}
	return got, r.deliver()
}

// hear prints the events of an answer as they come, and sums it up. Tokens of which it is not
// known who said them are those of an earlier process.
func (r *conversation) hear(a infer.Answer, stream func(func(infer.Event) bool), began time.Time, ev *events) (got result, err error) {
	prompt, said := a.Begun()
	begun := false
	begin := func() {
		if ev != nil && !begun {
			ev.begin(r.Session, prompt, got.Said)
		}
		begun = true
	}
	if prompt > 0 && said == 0 {
		begin()
	}
	var text strings.Builder
	for e := range stream {
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
		r.view.Token(shown)
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
func (r *conversation) said(ctx context.Context, err error) error {
	told, refused := (*infer.Error)(nil), (*admin.Error)(nil)
	switch {
	case ctx.Err() != nil && r.board == nil && r.from != nil:
		r.out.Note("(stopped; the daemon goes on with the answer, and the same command shows it)")
		return &cli.CodeError{Code: 130}
	case errors.As(err, &refused) && refused.Code == admin.CodeTooLong:
		return tooLong(refused.Message, "raise context in the daemon's settings")
	case !errors.As(err, &told):
		return err
	case told.Code == infer.TooLong:
		return tooLong(told.Message, "raise the context with --context")
	case told.Reason != "" && r.Session != "":
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
func (r *conversation) sum(a result, ev *events) error {
	if r.board == nil {
		a.Link = linkOf(a.Provenance, nil, "")
	} else if use := r.board.LinkUse(); use != nil {
		a.Link = linkOf(a.Provenance, use, r.Link)
	}
	if a.Mode == "" {
		a.Mode = r.opt.Mode
	}
	switch {
	case ev != nil:
		ev.end(a)
		return ev.err
	case r.JSON:
		cloud := 0
		if r.local != nil {
			cloud = r.local.PID()
		}
		return writeReport(r.out.Stdout, r.model, a, cloud)
	case r.view.Err() != nil:
		return r.view.Err()
	}
	if a.Finish == infer.Cancelled {
		how := "(stopped)"
		if r.board != nil && r.Session != "" && !r.chatting {
			how = "(stopped; the same command goes on with it)"
		}
		r.out.Note("%s", how)
	}
	if a.Lost != "" && !r.saidLost {
		r.out.Note("%s", lostLine(a))
	}
	r.saidLost = a.Lost != "" && a.Returned == 0
	r.out.Note("%s", closingLine(a))
	return nil
}

// deliver notes that the answer was written, all of it, and not only as far as the
// page cache. Only then does the same question mean another answer.
func (r *conversation) deliver() error {
	if r.board == nil || r.Session == "" {
		return nil
	}
	if err := cli.Flush(r.out.Stdout); err != nil {
		return err
	}
	return r.board.Delivered()
}

// verdict turns how the answer ended into an exit code.
func (r *conversation) verdict(a result) error {
	switch {
	case a.Finish == infer.Cancelled:
		return &cli.CodeError{Code: 130}
	case r.degraded || a.Lost != "" && (a.Returned == 0 || bySource(a.Tokens)[infer.Fallback] > 0):
		return &cli.CodeError{Code: cli.ExitDegraded}
	}
	return nil
}
