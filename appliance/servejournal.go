package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"skerry/appliance/serve"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// daemonJournal keeps the daemon's sessions in the board's database, in the form of
// skerry run's.
type daemonJournal struct{ *storage.DB }

var _ serve.Journal = daemonJournal{}

func (d daemonJournal) Open(session string, create bool) (serve.Log, error) {
	log, err := d.OpenSession(session)
	if create && errors.Is(err, storage.ErrNoSession) {
		var options []byte
		if options, err = json.Marshal(serve.Record{Finish: "stop"}); err != nil {
			return nil, err
		}
		log, err = d.CreateSession(storage.SessionMeta{ID: session, Options: options})
		if errors.Is(err, storage.ErrExists) { // made by another at the same moment
			log, err = d.OpenSession(session)
		}
	}
	switch {
	case errors.Is(err, storage.ErrNoSession):
		return nil, fmt.Errorf("%w: %w", serve.ErrNoSession, err)
	case err != nil:
		return nil, err
	}
	return &daemonLog{log, d.DB}, nil
}

func (d daemonJournal) List() []serve.Kept {
	var out []serve.Kept
	for _, m := range d.Sessions() {
		k := serve.Kept{ID: m.ID, Tokens: m.Position, Created: m.Created, Updated: m.Updated}
		k.Err = json.Unmarshal(m.Options, &k.Record)
		out = append(out, k)
	}
	return out
}

func (d daemonJournal) Delete(session string) error { return d.DeleteSession(session) }

// daemonLog is one session's. That a commit failed is no error of its methods: what
// was written stays in memory, and DB.Err tells.
type daemonLog struct {
	*storage.SessionLog
	db *storage.DB
}

func (l *daemonLog) Record() (r serve.Record, err error) {
	meta, err := l.Meta()
	if err == nil {
		err = json.Unmarshal(meta.Options, &r)
	}
	return r, err
}

// Begin first writes down that there is no answer, so that no commit in the midst of
// it holds this record with the tokens of another. The rows that a cloud has under
// the session's old id are never taken for this question's.
func (l *daemonLog) Begin(r serve.Record, prompt []int32) error {
	var id wire.SessionID
	rand.Read(id[:])
	r.Link = hex.EncodeToString(id[:])
	if err := l.put(serve.Record{Bundle: r.Bundle, Link: r.Link, Finish: "stop"}); err != nil {
		return err
	}
	known, err := l.Tokens()
	if err != nil {
		return err
	}
	same := 0
	for same < min(len(known), len(prompt)) && known[same] == prompt[same] {
		same++
	}
	if same < len(known) {
		if err := l.Truncate(same); err != nil {
			return err
		}
	}
	if err := l.written(l.Append(same, prompt[same:]), len(prompt)); err != nil {
		return err
	}
	return l.Save(r)
}

func (l *daemonLog) Say(pos int, id int32) error {
	return l.written(l.Append(pos, []int32{id}), pos+1)
}

// written is the error of an Append up to position end, nil where the commit alone
// has failed.
func (l *daemonLog) written(err error, end int) error {
	if err == nil {
		return nil
	}
	if meta, e := l.Meta(); e == nil && meta.Position == end && l.db.Err() != nil {
		return nil
	}
	return err
}

func (l *daemonLog) Save(r serve.Record) error {
	if err := l.put(r); err != nil {
		return err
	}
	l.Sync() // a failure is DB.Err's
	return nil
}

func (l *daemonLog) put(r serve.Record) error {
	options, err := json.Marshal(r)
	if err != nil {
		return err
	}
	meta, err := l.Meta()
	if err != nil {
		return err
	}
	meta.Options, meta.Bundle, meta.Mode = options, r.Bundle, string(r.Options.Mode)
	return l.SetMeta(meta)
}
