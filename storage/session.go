package storage

import (
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"go.etcd.io/bbolt"
)

// SessionMeta describes a session.
type SessionMeta struct {
	ID      string // 1 to 128 characters of text
	Bundle  string // hash of the bundle its tokens belong to
	Mode    string
	Epoch   uint64 // of the connection that last carried it
	Branch  uint32 // truncations so far
	Options []byte // the caller's record of it, at most 64 KB; lists leave it out
	// Transient sessions are dropped by End.
	Transient bool

	// The database sets the rest.
	Created, Updated time.Time
	Position         int     // tokens in the journal
	Bytes            int64   // that it takes, tokens and Options included
	Summary          Summary // of Options, by Options.Summarize
}

// Summary is what lists show of a session. It is kept apart from the caller's record,
// which may hold a long conversation and is not read for it.
type Summary struct {
	Version int    `cbor:"1,keyasint"`           // of whoever made it; another one's is made anew
	Owner   string `cbor:"2,keyasint,omitempty"` // whose it is
	Client  string `cbor:"3,keyasint,omitempty"` // that asked last
	Model   string `cbor:"4,keyasint,omitempty"`
	Title   string `cbor:"5,keyasint,omitempty"` // gist of the last message
	Finish  string `cbor:"6,keyasint,omitempty"` // how the last answer ended
	// Answer is the position of the first token of an answer that has not ended, 0 where
	// there is none.
	Answer  int  `cbor:"7,keyasint,omitempty"`
	Damaged bool `cbor:"8,keyasint,omitempty"` // the caller's record cannot be read
}

// Unfinished reports whether the session's last answer is under way or was cut.
func (m *SessionMeta) Unfinished() bool {
	return m.Summary.Answer > 0 && m.Summary.Answer <= m.Position
}

// sessionVersion is the form that sessionRecord is written in. Records of version 0 have
// their options inside.
const sessionVersion = 1

// sessionRecord is SessionMeta in the file. The options are a record of their own, in
// optionsBucket: they are many times as large, and change once an answer.
type sessionRecord struct {
	Version   int       `cbor:"0,keyasint,omitempty"`
	Bundle    string    `cbor:"1,keyasint"`
	Mode      string    `cbor:"2,keyasint"`
	Epoch     uint64    `cbor:"3,keyasint"`
	Branch    uint32    `cbor:"4,keyasint"`
	Options   []byte    `cbor:"5,keyasint,omitempty"` // of version 0
	Transient bool      `cbor:"6,keyasint,omitempty"`
	Created   time.Time `cbor:"7,keyasint"`
	Updated   time.Time `cbor:"8,keyasint"`
	Position  int       `cbor:"9,keyasint"`
	// OptionsBytes is the length of the record in optionsBucket.
	OptionsBytes int     `cbor:"10,keyasint,omitempty"`
	Summary      Summary `cbor:"11,keyasint"`
}

// session is what memory holds of one: no options, since a thousand sessions may have
// 64 MB of them.
type session struct {
	SessionMeta
	options int  // length of Options, which are read when they are wanted
	inside  bool // they lie in the sessionRecord still, as version 0 has them
	// used is when it was last opened or changed, by the clock that does not jump
	// when a board without a battery learns the time.
	used time.Time
	tail []int32 // tokens of the last chunk, nil while not read
}

const (
	maxOptions   = 64 << 10
	maxSessionID = 128
)

// sessionOverhead is about what a session takes beside its tokens, in bytes.
const sessionOverhead = 256

func (s *session) size() int64 {
	return sessionOverhead + int64(len(s.ID)+s.options+4*s.Position)
}

func (s *session) record() Change {
	m := s.SessionMeta
	return Change{sessionBucket, m.ID, seal(m.ID, sessionRecord{
		Version: sessionVersion, Bundle: m.Bundle, Mode: m.Mode, Epoch: m.Epoch, Branch: m.Branch, Transient: m.Transient,
		Created: m.Created, Updated: m.Updated, Position: m.Position, OptionsBytes: s.options, Summary: m.Summary,
	})}
}

// changedOptions returns the records to write of a session with new options.
func (db *DB) changedOptions(s *session, options []byte) []Change {
	s.options, s.inside = len(options), false
	if db.opt.Summarize != nil {
		s.Summary = db.opt.Summarize(options)
	} else {
		s.Summary = Summary{}
	}
	return []Change{s.record(), {optionsBucket, s.ID, seal(s.ID, options)}}
}

// options reads those of a session.
func (db *DB) options(s *session) (options []byte, err error) {
	if s.options == 0 {
		return nil, nil
	}
	bucket, into := optionsBucket, any(&options)
	var r sessionRecord
	if s.inside {
		bucket, into = sessionBucket, &r
	}
	value, err := db.get(bucket, s.ID)
	if err == nil {
		err = unseal(s.ID, value, into)
	}
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", s.ID, err)
	}
	if s.inside {
		options = r.Options
	}
	return options, nil
}

func (db *DB) loadSessions() error {
	pairs, err := db.scan(sessionBucket, "")
	if err != nil {
		return err
	}
	now := time.Now()
	for _, p := range pairs {
		var r sessionRecord
		if err := unseal(p.key, p.value, &r); err != nil {
			return fmt.Errorf("%s: %w", db.path, err)
		}
		s := &session{SessionMeta: SessionMeta{
			ID: p.key, Bundle: r.Bundle, Mode: r.Mode, Epoch: r.Epoch, Branch: r.Branch, Transient: r.Transient,
			Created: r.Created, Updated: r.Updated, Position: r.Position, Summary: r.Summary,
		}, options: r.OptionsBytes, used: now.Add(-max(0, now.Sub(r.Updated)))}
		switch {
		case len(r.Options) > 0:
			s.options, s.inside = len(r.Options), true
		case r.Version == 0: // by an older program, which has left the options as they are
			s.options = db.optionsLength(p.key)
		}
		if f := db.opt.Summarize; f != nil && r.Summary.Version != db.opt.SummaryVersion {
			if options, err := db.options(s); err != nil {
				s.Summary = Summary{Damaged: true}
			} else {
				s.Summary = f(options)
			}
		}
		db.add(s)
	}
	return db.dropOrphans()
}

// optionsLength is how long the record in optionsBucket is, 0 where there is none that can
// be read.
func (db *DB) optionsLength(id string) int {
	var options []byte
	if value, err := db.get(optionsBucket, id); err != nil || value == nil || unseal(id, value, &options) != nil {
		return 0
	}
	return len(options)
}

// dropOrphans deletes options without a session, which a version that does not know of
// them may leave behind.
func (db *DB) dropOrphans() error {
	var orphans []Change
	err := db.view(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(optionsBucket)).ForEach(func(k, _ []byte) error {
			if db.sessions[string(k)] == nil {
				orphans = append(orphans, Change{optionsBucket, string(k), nil})
			}
			return nil
		})
	})
	if err == nil && len(orphans) > 0 {
		_, err = db.put(true, orphans...)
	}
	return err
}

// CreateSession makes an empty session; what SessionMeta says that the database sets is
// set here. It returns ErrExists where there is one of that id, and ErrName.
func (db *DB) CreateSession(m SessionMeta) (*SessionLog, error) {
	if err := CheckSession(m.ID); err != nil {
		return nil, err
	}
	if len(m.Options) > maxOptions {
		return nil, fmt.Errorf("session %s: %d bytes of options, at most %d are kept", m.ID, len(m.Options), maxOptions)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.sessions[m.ID] != nil {
		return nil, fmt.Errorf("session %s: %w", m.ID, ErrExists)
	}
	now := time.Now()
	options := slices.Clone(m.Options)
	m.Options, m.Created, m.Updated, m.Position = nil, utc(now), utc(now), 0
	s := &session{SessionMeta: m, used: now, tail: []int32{}}
	if _, err := db.put(false, db.changedOptions(s, options)...); err != nil {
		return nil, err
	}
	db.add(s)
	return &SessionLog{db, m.ID}, db.sweep()
}

// OpenSession returns the session's journal, or ErrNoSession.
func (db *DB) OpenSession(id string) (*SessionLog, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	s := db.sessions[id]
	if s == nil {
		return nil, noSession(id)
	}
	s.used = time.Now()
	return &SessionLog{db, id}, nil
}

// HasSession reports whether there is a session of that id, without using it.
func (db *DB) HasSession(id string) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.sessions[id] != nil
}

// DeleteSession forgets a session; it is no error when there is none. What was deleted
// is erased from the file's free pages by a compaction, within seconds where the database
// is idle and within minutes where it is not.
func (db *DB) DeleteSession(id string) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.sessions[id] == nil {
		return nil
	}
	if err := db.drop(id); err != nil {
		return err
	}
	db.eraseAfter(0)
	return nil
}

func noSession(id string) error { return fmt.Errorf("session %s: %w", id, ErrNoSession) }

// checkName keeps control characters out of keys and of logs.
// CheckSession returns ErrName, wrapped with what is wrong, for an id that no session can have.
func CheckSession(id string) error { return checkName(id, maxSessionID) }

func checkName(name string, longest int) error {
	if name == "" || len(name) > longest || !utf8.ValidString(name) {
		return fmt.Errorf("%w %q: use 1 to %d bytes of text", ErrName, name, longest)
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return fmt.Errorf("%w %q: it holds a control character", ErrName, name)
		}
	}
	return nil
}
