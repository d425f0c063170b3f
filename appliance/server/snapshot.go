package server

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"skerry/appliance/decode/batch"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Snapshot is the core's part of the status: State, Progress, Mode, Model, Tokens,
// Queue and Sessions.
func (c *Core) Snapshot() status.Status {
	newest := c.newest(infer.By{Every: true})
	s := status.Status{
		Tokens: c.count.status(), Sessions: newest.Sessions, SessionCount: newest.Count, SessionStates: newest.States,
		Changes: c.count.modes(),
	}
	c.mu.Lock()
	now := time.Now()
	main := c.main()
	shown := main // the default, else the one that was used last
	if all := c.loaded(); len(all) > 0 {
		shown = all[0]
	}
	m := shown.model
	s.State, s.Reloading = main.state, main.again && main.failed == nil
	if shown != main && s.State == status.Unloaded {
		s.State = status.Ready
	}
	if c.stopping {
		s.State = status.Stopping
	}
	if p := main.progress; p.What != "" {
		s.Progress = &p
	}
	s.Models = c.modelStatus(now)
	s.Queue.Waiting = len(c.queue)
	for _, j := range c.jobs {
		if st := j.state.Load(); st == prefill || st == decoding {
			s.Queue.Running++
		}
	}
	if m != nil {
		s.Mode = string(m.mode(c.defaults.Mode))
	}
	c.mu.Unlock()
	held := c.hold()
	for _, x := range held {
		defer c.unuse(x)
		st := x.Slots.Stats()
		s.Queue.Waiting, s.Queue.Refused = s.Queue.Waiting+st.Waiting, s.Queue.Refused+st.Refused
		s.Tokens.CacheBytes = max(s.Tokens.CacheBytes, st.CacheBytes) // of one directory
	}
	if m == nil || !slices.Contains(held, m) {
		return s
	}
	if s.State == status.Ready && m.Unable != nil {
		if err := m.Unable(0); err != nil {
			s.State, s.Unable = status.Unable, oneLine(err)
		}
	}
	model := m.Status
	model.TemplateError = m.templateError(time.Now())
	s.Model = &model
	slots := m.Slots.Stats()
	s.Queue.Limit, s.Model.DraftBehind = slots.Limit, draftBehind(slots)
	return s
}

// draftBehind is how many positions the draft model lacks at most of the answers under way, nil
// where there is none.
func draftBehind(st batch.Stats) (most *int) {
	for _, x := range st.Slots {
		if n := x.DraftBehind; x.Running && n >= 0 && (most == nil || n > *most) {
			most = &n
		}
	}
	return most
}

// modelStatus are the models in memory, the default first, and behind them the one on its
// way there. The caller holds mu.
func (c *Core) modelStatus(now time.Time) []status.Model {
	all := []status.Model{}
	for _, e := range c.loaded() {
		m := e.model.Status
		m.Name, m.Bundle = e.model.Info.Name, e.model.Info.Digest
		m.TemplateError = e.model.templateError(now)
		m.State, m.Default, m.Pinned, m.Users, m.Expires = status.Ready, e.main, e.pinned, e.model.users, e.expires(now)
		all = append(all, m)
	}
	if e := c.loading; e != nil && e.model == nil {
		m := status.Model{Name: e.name(), Bundle: e.digest(), State: e.state, Default: e.main, Pinned: e.pinned}
		if p := e.progress; p.What != "" {
			m.Progress = &p
		}
		all = append(all, m)
	}
	return all
}

// Err is why there is no default model, nil where there is one or it is on its way.
func (c *Core) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.main().failed
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

// List returns the sessions that by may see and that the journal keeps or memory has, the
// newest first: limit of them (0: all), behind the one that after names, which is the Next
// of the list before or "". The error is an *infer.Error for an after that is no such place.
func (c *Core) List(by infer.By, after string, limit int) (status.SessionList, error) {
	place, err := parsePlace(after)
	if err != nil {
		return status.SessionList{}, err
	}
	return c.list(by, place, limit), nil
}

// list merges what the journal keeps with what memory has, whose sessions may be newer than
// the journal knows. The cost does not grow with the sessions that are left out.
func (c *Core) list(by infer.By, after Place, limit int) status.SessionList {
	live, keptCut := c.inMemory(by)
	var kept []Summary
	var counts Counts
	if c.opt.Journal != nil {
		q := Query{By: by, After: after, Limit: limit}
		if limit > 0 {
			q.Limit += len(live) + 1 // as many may be memory's, and one tells whether the list goes on
		}
		kept, counts = c.opt.Journal.List(q)
	}
	l := status.SessionList{Count: counts.Total, States: map[string]int{cutOff: counts.Unfinished - keptCut}}
	for _, s := range live {
		if !s.Kept {
			l.Count++
		}
		l.States[s.State]++
		if after.Updated.IsZero() || after.before(s) {
			l.Sessions = append(l.Sessions, s)
		}
	}
	others := l.Count
	for _, n := range l.States {
		others -= n
	}
	l.States[idle] += others
	for _, k := range kept {
		if _, ok := live[k.ID]; !ok {
			l.Sessions = append(l.Sessions, k.status())
		}
	}
	slices.SortFunc(l.Sessions, newestFirst)
	if limit > 0 && len(l.Sessions) > limit {
		l.Sessions = l.Sessions[:limit:limit]
		last := l.Sessions[limit-1]
		l.Next = Place{last.Updated, last.ID}.String()
	}
	return l
}

func newestFirst(a, b status.Session) int {
	return cmp.Or(b.Updated.Compare(a.Updated), cmp.Compare(a.ID, b.ID))
}

// inMemory returns the sessions of the answers in memory, and how many of them the journal
// takes for cut.
func (c *Core) inMemory(by infer.By) (live map[string]status.Session, keptCut int) {
	live = map[string]status.Session{}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.evict()
	for _, j := range c.jobs {
		id := j.Session()
		if id == "" && j.ended.IsZero() {
			id = j.id
		}
		if id == "" || j.Session() != "" && c.sessions[id] != j || !by.May(j.owner) {
			continue
		}
		var s status.Session
		if c.opt.Journal != nil && j.Session() != "" {
			if k, ok := c.opt.Journal.Summary(id); ok {
				s = k.status()
				if k.Unfinished {
					keptCut++
				}
			}
		}
		live[id] = j.status(s, id)
	}
	for _, p := range c.pendings {
		if _, there := live[p.session()]; there || !by.May(p.request.By.Owner) {
			continue
		}
		var s status.Session
		if c.opt.Journal != nil && p.Session() != "" {
			if k, ok := c.opt.Journal.Summary(p.Session()); ok {
				if !by.May(k.Owner) {
					continue
				}
				s = k.status()
				if k.Unfinished {
					keptCut++
				}
			}
		}
		live[p.session()] = p.status(s)
	}
	return live, keptCut
}

// status of a session that nothing is in memory of.
func (k Summary) status() status.Session {
	s := status.Session{ID: k.ID, Kept: true, State: idle, Tokens: k.Tokens, Client: k.Client, Owner: k.Owner, Model: k.Model, Mode: k.Mode, Title: k.Title, Bytes: k.Bytes, Created: k.Created, Updated: k.Updated}
	if k.Unfinished {
		s.State = cutOff
	}
	return s
}

// newest are the sessions of a status: those under way, and the newest others.
func (c *Core) newest(by infer.By) status.SessionList {
	l := c.list(by, Place{}, status.NewestSessions)
	live, _ := c.inMemory(by)
	for _, s := range l.Sessions {
		delete(live, s.ID)
	}
	for _, s := range live {
		if s.UnderWay() {
			l.Sessions = append(l.Sessions, s)
		}
	}
	slices.SortFunc(l.Sessions, newestFirst)
	for i := range l.Sessions {
		l.Sessions[i].Title = "" // which is nobody's business who looks at the board
	}
	return l
}

// Newest are the sessions under way and the newest others that by may see, as a status has
// them.
func (c *Core) Newest(by infer.By) status.SessionList { return c.newest(by) }

// String is the place as List takes it.
func (p Place) String() string { return strconv.FormatInt(p.Updated.UnixNano(), 10) + "." + p.ID }

func parsePlace(s string) (p Place, err error) {
	if s == "" {
		return p, nil
	}
	at, id, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(at, 10, 64)
	if err != nil || id == "" {
		return p, infer.Errorf(infer.BadRequest, "after", "after is %q, which is no place in the list: take it from the header Link of the page before", s)
	}
	return Place{time.Unix(0, n).UTC(), id}, nil
}

// before reports whether the place is before that of s in the list.
func (p Place) before(s status.Session) bool {
	return newestFirst(status.Session{ID: p.ID, Updated: p.Updated}, s) < 0
}

// status of a session by its last answer, over what the journal says of it.
func (j *job) status(s status.Session, id string) status.Session {
	s.ID, s.Client, s.Owner, s.Model, s.Mode = id, j.Client, j.owner, j.Model(), string(j.opt.Mode)
	s.State, _ = j.state.Load().(string)
	s.StalledS = j.stalled().Seconds()
	if why := j.noDraft.Load(); why != nil {
		s.NoDraft = *why
	}
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
	Answer        string          // the id of the last answer, "" where it has none
	Messages      []infer.Message // with as much of the last answer as there is
	Unfinished    bool            // the last message is under way, or was cut
	Unkept        bool            // the conversation was too long for its messages to be kept, or for the last answer
	Undelivered   bool            // the last answer is whole, and its reader has not had all of it
	Tools         []infer.Tool    // of the last question
	ParallelTools bool            // as well
}

// find returns a session that by may see, with its answer in memory if there is one. The
// error is an *infer.Error that is NoSession or Forbidden.
func (c *Core) find(by infer.By, id string) (s status.Session, kept Summary, j *job, err error) {
	c.mu.Lock()
	j = c.sessions[id]
	if j == nil {
		j = c.jobs[id]
	}
	if j != nil && j.Session() == "" && !j.ended.IsZero() {
		j = nil
	}
	c.mu.Unlock()
	known := false
	if c.opt.Journal != nil && (j == nil || j.Session() != "") {
		if kept, known = c.opt.Journal.Summary(id); known {
			s = kept.status()
		}
	}
	owner := s.Owner
	if j != nil {
		s = j.status(s, id)
		owner = j.owner
	}
	switch {
	case j == nil && !known:
		err = infer.Errorf(infer.NoSession, "session", "no session %q: skerry sessions ls shows those there are", id)
	case !by.May(owner):
		err = refuseOthers(id)
	}
	return s, kept, j, err
}

// Conversation of a session, or an *infer.Error that is NoSession or Forbidden.
func (c *Core) Conversation(by infer.By, id string) (Conversation, error) {
	s, kept, j, err := c.find(by, id)
	if err != nil {
		return Conversation{}, err
	}
	if j != nil {
		messages := append(slices.Clone(j.asked), j.message())
		return Conversation{Session: s, Model: j.Model(), Bundle: j.model.Info.Digest, Answer: j.id, Messages: messages, Unfinished: s.State != idle, Unkept: len(j.asked) == 0, Tools: j.Tools, ParallelTools: j.ParallelTools}, nil
	}
	v := Conversation{Session: s, Model: kept.Model, Bundle: kept.Bundle, Unfinished: kept.Unfinished}
	log, err := c.opt.Journal.Open(id, false)
	if err != nil {
		return v, err
	}
	r, err := log.Record()
	v.Answer = r.ID
	v.Messages, v.Undelivered, v.Unkept = r.Messages, r.Undelivered, r.Answer > 0 && (r.Messages == nil || r.Finish != "" && !r.answered())
	if r.Request != nil {
		v.Tools, v.ParallelTools = r.Request.Tools, r.Request.ParallelTools
	}
	if n := len(v.Messages); n > 0 && r.Finish == "" && !v.Unfinished { // a question of whose prompt not all is there
		v.Messages = v.Messages[:n-1]
	}
	return v, err
}
