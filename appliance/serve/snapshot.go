package serve

import (
	"cmp"
	"slices"

	"skerry/appliance/answer"
	"skerry/appliance/status"
)

// Snapshot is the core's part of the status: State, Progress, Mode, Model, Tokens,
// Queue and Sessions.
func (c *Core) Snapshot() status.Status {
	s := status.Status{Tokens: c.count.status(), Sessions: c.Sessions(), Changes: c.count.modes()}
	c.mu.Lock()
	m := c.model
	s.State = c.state
	if p := c.progress; p.What != "" {
		s.Progress = &p
	}
	for _, j := range c.jobs {
		if st := j.state.Load(); st == prefill || st == decoding {
			s.Queue.Running++
		}
	}
	if m != nil {
		m.users++
		s.Mode = string(m.mode(c.defaults.Mode))
	}
	c.mu.Unlock()
	if m == nil {
		return s
	}
	defer c.unuse(m)
	model := m.Status
	s.Model = &model
	st := m.Slots.Stats()
	s.Queue.Waiting, s.Queue.Limit, s.Queue.Refused = st.Waiting, st.Limit, st.Refused
	s.Tokens.CacheBytes = st.CacheBytes
	return s
}

// Err is why there is no model, nil where there is one or it is on its way.
func (c *Core) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// JournalErr is why the last commit failed, or the last write was refused.
func (c *Core) JournalErr() error {
	if c.opt.Journal != nil {
		if err := c.opt.Journal.Err(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.journalErr
}

// Sessions that the journal keeps or that are in memory, the newest first.
func (c *Core) Sessions() []status.Session {
	var list []Kept
	if c.opt.Journal != nil {
		list = c.opt.Journal.List()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tidy()
	byID := map[string]status.Session{}
	for _, k := range list {
		s := status.Session{ID: k.ID, Kept: true, State: idle, Tokens: k.Tokens, Mode: string(k.Record.Options.Mode), Created: k.Created, Updated: k.Updated}
		if k.Record.Request != nil {
			s.Client = k.Record.Request.Client
		}
		if k.Record.cut(k.Tokens) {
			s.State = cutOff
		}
		byID[k.ID] = s
	}
	for _, j := range c.jobs {
		id := j.Session()
		if id == "" && j.ended.IsZero() {
			id = j.id
		}
		if id == "" || j.Session() != "" && c.sessions[id] != j {
			continue
		}
		byID[id] = j.status(byID[id], id)
	}
	out := make([]status.Session, 0, len(byID))
	for _, s := range byID {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b status.Session) int {
		return cmp.Or(b.Updated.Compare(a.Updated), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// status of a session by its last answer, over what the journal says of it.
func (j *job) status(s status.Session, id string) status.Session {
	s.ID, s.Client, s.Mode = id, j.Client, string(j.opt.Mode)
	s.State, _ = j.state.Load().(string)
	s.Tokens = len(j.prompt) + j.log.len()
	if s.Created.IsZero() {
		s.Created = j.created
	}
	if s.Updated.Before(j.created) {
		s.Updated = j.created
	}
	return s
}

// Conversation is a session in full.
type Conversation struct {
	status.Session
	Model, Bundle string
	Messages      []answer.Message // with as much of the last answer as there is
	Unfinished    bool             // the last message is under way, or was cut
}

// Conversation of a session, or an *answer.Error that is NoSession.
func (c *Core) Conversation(id string) (Conversation, error) {
	all := c.Sessions()
	i := slices.IndexFunc(all, func(s status.Session) bool { return s.ID == id })
	if i < 0 {
		return Conversation{}, answer.Errorf(answer.NoSession, "session", "no session %q: skerry sessions ls shows those there are", id)
	}
	v := Conversation{Session: all[i]}
	c.mu.Lock()
	j := c.sessions[id]
	if j == nil {
		j = c.jobs[id]
	}
	c.mu.Unlock()
	if j != nil {
		v.Model, v.Bundle = j.Model(), j.model.Info.Digest
		v.Messages = append(slices.Clone(j.asked), j.message())
		v.Unfinished = v.State != idle
		return v, nil
	}
	for _, k := range c.opt.Journal.List() {
		if k.ID == id {
			v.Bundle, v.Messages, v.Unfinished = k.Record.Bundle, k.Record.Messages, k.Record.cut(k.Tokens)
			if k.Record.Request != nil {
				v.Model = k.Record.Request.Model
			}
			return v, k.Err
		}
	}
	return v, nil
}

// Forget deletes a session that is not being answered.
func (c *Core) Forget(id string) error {
	if _, err := c.Conversation(id); err != nil {
		return err
	}
	c.mu.Lock()
	j := c.sessions[id]
	if j == nil {
		j = c.jobs[id]
	}
	if j != nil && j.ended.IsZero() {
		c.mu.Unlock()
		return answer.Errorf(answer.Conflict, "session", "session %s is being answered: wait for the answer's end", id)
	}
	for _, j := range c.jobs {
		if j.Session() == id {
			c.drop(j)
		}
	}
	c.mu.Unlock()
	if c.opt.Journal == nil {
		return nil
	}
	return c.opt.Journal.Delete(id)
}
