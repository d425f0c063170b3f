package conversation

import (
	"context"
	"errors"
	"slices"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// session is that of the conversation as far as it has come; the zero value where it is new.
func (c *Conversation) session(ctx context.Context) (s admin.Session, err error) {
	if c.Session == "" {
		return s, nil
	}
	if s, err = c.from.Session(ctx, c.Session); errors.Is(err, admin.ErrNotFound) {
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

// lastQuestion is what was asked last, empty where that is not known.
func lastQuestion(s admin.Session) infer.Message {
	if m := beforeAnswer(s.Messages); len(m) > 0 {
		return m[len(m)-1]
	}
	return infer.Message{}
}

// withdrawn are the messages without the last question.
func withdrawn(s admin.Session) []infer.Message {
	m := beforeAnswer(s.Messages)
	return m[:max(len(m)-1, 0)]
}

// ask asks a question in the session, or goes on with the answer to it that the session owes.
func (c *Conversation) ask(ctx context.Context, prompt question) (infer.Answer, error) {
	s, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	history, q := s.Messages, lastQuestion(s)
	same := prompt.isAskedIn(q)
	switch {
	case s.Unkept && !s.Unfinished && !(s.Undelivered && q.Content != "" && same): // the question is kept until its answer is delivered
		return nil, c.tooLongToAskOn()
	case !owed(s):
	case c.Again && (same || s.Unfinished):
		history = withdrawn(s)
	case same:
		return c.resume(ctx, s)
	case s.Unfinished:
		return nil, cli.Usagef("session %s has an answer that is not finished, to %.60q: ask that again to have it finished, give --again to drop it, or begin another session", c.Session, q.Content)
	default:
		c.out.Tell("(the answer to %.60q was not written to its end; it is in the conversation)", q.Content)
	}
	return c.from.Ask(ctx, c.request(history, prompt, s))
}

func (c *Conversation) tooLongToAskOn() error {
	return cli.Usagef("session %s is too long to be asked on here: its messages are not kept (begin another session)", c.Session)
}

// request is a question after what was said before, with the tools of the session's last. A
// session has those messages already: only what is new is sent.
func (c *Conversation) request(history []infer.Message, prompt question, last admin.Session) infer.Request {
	s := &c.opt.Sampling
	q := infer.Request{Session: c.Session, Model: c.asked, Messages: slices.Clip(history), Tools: last.Tools, ParallelTools: last.ParallelTools,
		Options: infer.Options{MaxTokens: c.opt.MaxTokens, Seed: &s.Seed, Temperature: &s.Temperature}}
	if s.Temperature > 0 {
		q.TopK, q.TopP, q.MinP = &s.TopK, &s.TopP, &s.MinP
	}
	if c.board != nil || c.opt.Mode != decode.Collaborative { // which is what a daemon is asked for where nothing else is
		q.Mode = c.opt.Mode
	}
	if len(history) == 0 && c.System != "" {
		q.Messages = append(q.Messages, infer.Message{Role: "system", Content: c.System})
	}
	if c.Raw {
		q.Raw, q.Prompt = true, prompt.text
	} else {
		q.Messages = append(q.Messages, infer.Message{Role: "user", Content: prompt.text, Images: prompt.images})
	}
	if c.Session != "" && !c.Raw {
		q.After, q.Messages = new(len(history)), q.Messages[len(history):]
	}
	return q
}

// resume goes on with the answer that the session owes, or gives a whole one again.
func (c *Conversation) resume(ctx context.Context, s admin.Session) (infer.Answer, error) {
	if c.board != nil && s.Unfinished && s.Mode != c.Mode {
		return nil, cli.Usagef("session %s has an answer that was cut in mode %s: give --mode %[2]s to have it finished, --again to ask anew, or begin another session", c.Session, s.Mode)
	}
	a, err := c.from.Follow(ctx, infer.Following{Session: c.Session})
	if err != nil {
		return nil, err
	}
	_, said := a.Begun()
	switch {
	case c.board == nil:
		c.out.Tell("(the daemon has begun this answer)")
	case said == 0 || c.Events || c.JSON:
	case s.Undelivered:
		c.out.Tell("(answered by an earlier run, which did not write it to the end; --again asks anew)")
	default:
		c.out.Tell("(going on after %d tokens)", said)
	}
	return a, nil
}
