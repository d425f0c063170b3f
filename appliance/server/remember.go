package server

import (
	"context"

	"skerry/appliance/infer"
)

var _ infer.Rememberer = (*Core)(nil)

// Remember returns a session's conversation. See infer.Rememberer.
func (c *Core) Remember(_ context.Context, by infer.By, session string) ([]infer.Message, string, error) {
	v, err := c.Conversation(by, session)
	if err != nil {
		return nil, "", err
	}
	if v.Unfinished {
		return nil, "", infer.Errorf(infer.Conflict, "session", "session %s is being answered, or its answer was cut: wait for its end, or go on with it", session)
	}
	if v.Unkept {
		return nil, "", infer.Errorf(infer.NoSession, "session", "of session %s not all of the conversation was kept: send it as a whole", session)
	}
	messages, err := c.withImages(session, v.Messages)
	return messages, v.Answer, err
}
