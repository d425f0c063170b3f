package node

import (
	"encoding/json"
	"errors"
	"fmt"

	"skerry/appliance/infer"
	"skerry/appliance/server"
	"skerry/storage"
)

// Journal keeps the daemon's sessions in the board's database, in the form of
// skerry run's.
type Journal struct {
	*storage.DB
	rows *keptRows // that a cloud has of one of the sessions; nil: of none that count
}

var _ server.Journal = Journal{}

func (d Journal) Open(session string, create bool) (server.Log, error) {
	log, err := d.OpenSession(session)
	if create && errors.Is(err, storage.ErrNoSession) {
		var options []byte
		if options, err = json.Marshal(server.Record{Finish: "stop"}); err != nil {
			return nil, err
		}
		log, err = d.CreateSession(storage.SessionMeta{ID: session, Options: options})
		if errors.Is(err, storage.ErrExists) { // made by another at the same moment
			log, err = d.OpenSession(session)
		}
	}
	switch {
	case errors.Is(err, storage.ErrNoSession):
		return nil, fmt.Errorf("%w: %w", server.ErrNoSession, err)
	case err != nil:
		return nil, err
	}
	return &sessionLog{log, d.DB, d.rows}, nil
}

func (d Journal) List(q server.Query) ([]server.Summary, server.Counts) {
	list, counts := d.ListSessions(storage.SessionQuery{Owner: q.By.Owner, Every: q.By.Every, After: q.After.Updated, AfterID: q.After.ID, Limit: q.Limit})
	out := make([]server.Summary, len(list))
	for i, m := range list {
		out[i] = summaryOf(m)
	}
	return out, server.Counts(counts)
}

func (d Journal) Summary(session string) (server.Summary, bool) {
	m, ok := d.Session(session)
	return summaryOf(m), ok
}

func summaryOf(m storage.SessionMeta) server.Summary {
	s := m.Summary
	return server.Summary{
		ID: m.ID, Owner: s.Owner, Client: s.Client, Model: s.Model, Title: s.Title, Bundle: m.Bundle, Mode: m.Mode,
		Tokens: m.Position, Bytes: m.Bytes, Created: m.Created, Updated: m.Updated, Unfinished: m.Unfinished(), Damaged: s.Damaged,
	}
}

// summaryVersion counts up when summarize finds something else in the same record.
const summaryVersion = 2

// DatabaseOptions adds to the options of a board's database how its sessions are
// summarized.
func DatabaseOptions(o storage.Options) storage.Options {
	o.Summarize, o.SummaryVersion = summarize, summaryVersion
	return o
}

// summarize is storage.Options.Summarize of a board's database.
func summarize(record []byte) storage.Summary {
	var r server.Record
	if err := json.Unmarshal(record, &r); err != nil {
		return storage.Summary{Version: summaryVersion, Damaged: true}
	}
	s, answer := r.Summary()
	return storage.Summary{
		Version: summaryVersion, Owner: s.Owner, Client: s.Client, Model: s.Model, Title: s.Title, Finish: string(r.Finish), Answer: answer,
	}
}

// Delete returns when the deletion is in the file: a session that was forgotten does not
// come back with a restart.
func (d Journal) Delete(session string) error {
	if err := d.DeleteSession(session); err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return fmt.Errorf("session %s is forgotten, but that cannot be written down, and it comes back with a restart: %w", session, err)
	}
	return nil
}

// sessionLog is one session's. That a commit failed is no error of its methods: what
// was written stays in memory, and DB.Err tells.
type sessionLog struct {
	*storage.SessionLog
	db   *storage.DB
	rows *keptRows
}

func (l *sessionLog) Record() (r server.Record, err error) {
	meta, err := l.Meta()
	if err == nil {
		err = json.Unmarshal(meta.Options, &r)
	}
	return r, err
}

// Begin first writes down that there is no answer, so that no commit in the midst of
// it holds this record with the tokens of another; what was said before stays in it.
func (l *sessionLog) Begin(r server.Record, prompt []int32) error {
	known, err := l.Tokens()
	if err != nil {
		return err
	}
	same := 0
	for same < min(len(known), len(prompt)) && known[same] == prompt[same] {
		same++
	}
	branch := uint32(0)
	if r.Link, branch, err = l.rows.keep(l.ID(), same); err != nil {
		return err
	}
	between, err := l.Record()
	if err != nil {
		return err
	}
	if n := len(between.Messages); n > 0 && (between.Finish == "" || between.Messages[n-1].Role != "assistant") { // a question whose answer is not there
		between.Messages = between.Messages[:n-1]
	}
	between.Bundle, between.Link, between.Finish, between.Answer, between.ID, between.Undelivered = r.Bundle, r.Link, infer.Stop, 0, "", false
	if err := l.put(between); err != nil {
		return err
	}
	if same < len(known) { // each truncation costs the cloud's rows of a branch before it
		if err := l.Truncate(same); err != nil {
			return err
		}
	}
	if err := l.written(l.Append(same, prompt[same:]), len(prompt)); err != nil {
		return err
	}
	if err := l.change(r, func(m *storage.SessionMeta) { m.Branch = max(m.Branch, branch) }); err != nil {
		return err
	}
	l.Sync() // a failure is DB.Err's
	return nil
}

func (l *sessionLog) Say(pos int, id int32) error {
	return l.written(l.Append(pos, []int32{id}), pos+1)
}

// written is the error of an Append up to position end, nil where the commit alone
// has failed.
func (l *sessionLog) written(err error, end int) error {
	if err == nil {
		return nil
	}
	if meta, e := l.Meta(); e == nil && meta.Position == end && l.db.Err() != nil {
		return nil
	}
	return err
}

func (l *sessionLog) Save(r server.Record) error {
	if err := l.put(r); err != nil {
		return err
	}
	l.Sync() // a failure is DB.Err's
	return nil
}

func (l *sessionLog) Note(r server.Record) error { return l.put(r) }

func (l *sessionLog) put(r server.Record) error { return l.change(r, nil) }

// change replaces the record, and what else the change says, with the next commit.
func (l *sessionLog) change(r server.Record, change func(*storage.SessionMeta)) error {
	options, err := json.Marshal(r)
	if err != nil {
		return err
	}
	meta, err := l.Meta()
	if err != nil {
		return err
	}
	meta.Options, meta.Bundle, meta.Mode = options, r.Bundle, string(r.Options.Mode)
	if change != nil {
		change(&meta)
	}
	return l.SetMeta(meta)
}
