package storage

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// SessionQuery chooses sessions of the list, which has the newest first: the one that was
// changed last, and of several at one time the one whose id comes first.
type SessionQuery struct {
	Owner string // whose sessions, where Every is not set
	Every bool
	// The list goes on after the session that was changed at After and has the id AfterID;
	// it begins with the newest where After is zero.
	After   time.Time
	AfterID string
	Limit   int // 0: no limit
}

// SessionCounts are how many sessions there are of those that a query may see.
type SessionCounts struct {
	Total, Unfinished int
}

// ListSessions returns the sessions that q chooses, without their Options, and how many
// there are in all whatever q's place and limit. It reads memory alone.
func (db *DB) ListSessions(q SessionQuery) ([]SessionMeta, SessionCounts) {
	db.mu.Lock()
	defer db.mu.Unlock()
	end := len(db.list)
	if !q.After.IsZero() {
		end, _ = slices.BinarySearchFunc(db.list, &session{SessionMeta: SessionMeta{ID: q.AfterID, Updated: q.After}}, byChange)
	}
	room := end
	if q.Limit > 0 {
		room = min(end, q.Limit)
	}
	out := make([]SessionMeta, 0, room)
	for i := end - 1; i >= 0 && len(out) < room; i-- {
		if s := db.list[i]; q.Every || s.Summary.Owner == q.Owner {
			out = append(out, s.public())
		}
	}
	if !q.Every {
		return out, *db.countOf(q.Owner)
	}
	var all SessionCounts
	for _, c := range db.counts {
		all.Total, all.Unfinished = all.Total+c.Total, all.Unfinished+c.Unfinished
	}
	return out, all
}

// Sessions lists all sessions, the newest first, without their Options.
func (db *DB) Sessions() []SessionMeta {
	list, _ := db.ListSessions(SessionQuery{Every: true})
	return list
}

// Session describes one without its Options, false where there is none. That does not
// count as a use of it.
func (db *DB) Session(id string) (SessionMeta, bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	s := db.sessions[id]
	if s == nil {
		return SessionMeta{}, false
	}
	return s.public(), true
}

// public is the session as callers get it.
func (s *session) public() SessionMeta {
	m := s.SessionMeta
	m.Bytes = s.size()
	return m
}

// byChange is the order of DB.list, in which the newest are last: most changes are made to
// the newest of all.
func byChange(a, b *session) int {
	return cmp.Or(a.Updated.Compare(b.Updated), strings.Compare(b.ID, a.ID))
}

// countOf returns the counts of an owner's sessions. The caller holds mu.
func (db *DB) countOf(owner string) *SessionCounts {
	c := db.counts[owner]
	if c == nil {
		c = &SessionCounts{}
	}
	return c
}

// add takes a session into the memory of all. The caller holds mu.
func (db *DB) add(s *session) {
	db.sessions[s.ID] = s
	db.bytes += s.size()
	i, _ := slices.BinarySearchFunc(db.list, s, byChange)
	db.list = slices.Insert(db.list, i, s)
	c := db.countOf(s.Summary.Owner)
	db.counts[s.Summary.Owner] = c
	c.Total++
	if s.Unfinished() {
		c.Unfinished++
	}
}

// remove undoes add, before anything of the session changes. The caller holds mu.
func (db *DB) remove(s *session) {
	delete(db.sessions, s.ID)
	db.bytes -= s.size()
	if i, ok := slices.BinarySearchFunc(db.list, s, byChange); ok {
		db.list = slices.Delete(db.list, i, i+1)
	}
	c := db.countOf(s.Summary.Owner)
	c.Total--
	if s.Unfinished() {
		c.Unfinished--
	}
	if c.Total == 0 {
		delete(db.counts, s.Summary.Owner)
	}
}

// update has f change a session, which is the most recently used from then on, and returns
// what f does. The caller holds mu.
func (db *DB) update(s *session, f func() ([]Change, error)) ([]Change, error) {
	var options []byte
	var err error
	if s.inside { // they move out of the session's record, the first time
		if options, err = db.options(s); err != nil {
			return nil, err
		}
	}
	db.remove(s)
	defer db.add(s)
	changes, err := f()
	if err != nil {
		return nil, err
	}
	s.used = time.Now()
	s.Updated = utc(s.used)
	if s.inside {
		return append(changes, db.changedOptions(s, options)...), nil
	}
	return append(changes, s.record()), nil
}
