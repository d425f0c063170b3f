package storage

import (
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

// SessionMeta describes a session.
type SessionMeta struct {
	ID      string // 1 to 128 characters of text
	Bundle  string // hash of the bundle its tokens belong to
	Mode    string
	Epoch   uint64 // of the connection that last carried it
	Branch  uint32 // truncations so far
	Options []byte // the caller's, at most 64 KB
	// Transient sessions are dropped by End.
	Transient        bool
	Created, Updated time.Time
	Position         int // tokens in the journal; set by the database
}

// sessionRecord is SessionMeta in the file.
type sessionRecord struct {
	Bundle    string    `cbor:"1,keyasint"`
	Mode      string    `cbor:"2,keyasint"`
	Epoch     uint64    `cbor:"3,keyasint"`
	Branch    uint32    `cbor:"4,keyasint"`
	Options   []byte    `cbor:"5,keyasint,omitempty"`
	Transient bool      `cbor:"6,keyasint,omitempty"`
	Created   time.Time `cbor:"7,keyasint"`
	Updated   time.Time `cbor:"8,keyasint"`
	Position  int       `cbor:"9,keyasint"`
}

// session is what memory holds of one.
type session struct {
	SessionMeta
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
	return sessionOverhead + int64(len(s.ID)+len(s.Options)+4*s.Position)
}

func (s *session) record() change {
	m := s.SessionMeta
	return change{sessionBucket, m.ID, seal(m.ID, sessionRecord{
		m.Bundle, m.Mode, m.Epoch, m.Branch, m.Options, m.Transient, m.Created, m.Updated, m.Position,
	})}
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
			p.key, r.Bundle, r.Mode, r.Epoch, r.Branch, r.Options, r.Transient, r.Created, r.Updated, r.Position,
		}, used: now.Add(-max(0, now.Sub(r.Updated)))}
		db.sessions[p.key] = s
		db.bytes += s.size()
	}
	return nil
}

// CreateSession makes an empty session; Created, Updated and Position are set
// here. It returns ErrExists where there is one of that id, and ErrName.
func (db *DB) CreateSession(m SessionMeta) (*SessionLog, error) {
	if err := checkName(m.ID, maxSessionID); err != nil {
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
	m.Options, m.Created, m.Updated, m.Position = slices.Clone(m.Options), utc(now), utc(now), 0
	s := &session{SessionMeta: m, used: now, tail: []int32{}}
	if _, err := db.put(false, s.record()); err != nil {
		return nil, err
	}
	db.sessions[m.ID] = s
	db.bytes += s.size()
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

// Sessions lists the sessions, the most recently used first.
func (db *DB) Sessions() []SessionMeta {
	db.mu.Lock()
	defer db.mu.Unlock()
	var out []SessionMeta
	for _, s := range db.byUse() {
		out = append(out, s.public())
	}
	slices.Reverse(out)
	return out
}

func (s *session) public() SessionMeta {
	m := s.SessionMeta
	m.Options = slices.Clone(m.Options)
	return m
}

// DeleteSession forgets a session; it is no error when there is none.
func (db *DB) DeleteSession(id string) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.drop(id)
}

func noSession(id string) error { return fmt.Errorf("session %s: %w", id, ErrNoSession) }

// checkName keeps control characters out of keys and of logs.
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
