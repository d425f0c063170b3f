package server

import (
	"errors"
	"slices"

	"skerry/appliance/infer"
)

// nothingBefore stands for the last answer of a session that has none.
const nothingBefore = "none"

// goOn puts before a request's messages those of its session that they follow on (see
// infer.Request.After), and names the session's last answer, so that one which came between
// is noticed. Errors are *infer.Error: TooLong where the conversation was too long to be
// kept, BadRequest where it has fewer messages than After, Conflict while it is answered.
func (c *Core) goOn(r infer.Request) (infer.Request, string, error) {
	if r.After == nil {
		return r, r.Follows, nil
	}
	after := *r.After
	r.After = nil
	if r.Session == "" {
		return r, "", infer.Errorf(infer.BadRequest, "session", "a request that follows on a conversation needs its session: name it")
	}
	if r.Raw || len(r.PromptTokens) > 0 {
		return r, "", infer.Errorf(infer.BadRequest, "skerry.after", "a raw prompt follows on no conversation: send a chat, or leave out skerry.after")
	}
	kept, last, err := c.soFar(r.By, r.Session)
	if err != nil {
		return r, "", err
	}
	switch {
	case kept.Unkept && after != 0:
		return r, "", infer.Errorf(infer.TooLong, "session", "the conversation of session %s was too long to be kept: begin another session, or send its messages", r.Session)
	case after < 0:
		after = len(kept.Messages)
	case after > len(kept.Messages):
		return r, "", infer.Errorf(infer.BadRequest, "session", "session %s has %d messages, and the request follows on %d: look at what it holds now, and ask again", r.Session, len(kept.Messages), after)
	}
	before, err := c.withImages(r.Session, kept.Messages[:after])
	if err != nil {
		return r, "", err
	}
	r.Messages = slices.Concat(before, r.Messages)
	return r, last, nil
}

// soFar is the conversation of a session, which may be none yet, and its last answer.
func (c *Core) soFar(by infer.By, session string) (kept Conversation, last string, err error) {
	c.mu.Lock()
	j := c.sessions[session]
	c.mu.Unlock()
	last = nothingBefore
	if j != nil {
		last = j.id
	}
	kept, err = c.Conversation(by, session)
	var told *infer.Error
	switch {
	case errors.As(err, &told) && told.Code == infer.NoSession:
		return Conversation{}, last, nil
	case err == nil && j != nil && kept.Unfinished && kept.State != cutOff:
		err = infer.Errorf(infer.Conflict, "session", "session %s is being answered: wait for the answer's end, or stop it", session)
	}
	return kept, last, err
}
