package storage

import (
	"fmt"
	"slices"
	"time"
)

// SessionLog is the journal of one session. Its methods may be called
// concurrently, and on several of one session; they return ErrNoSession once it
// was deleted.
type SessionLog struct {
	db *DB
	id string
}

// ID returns the session's id.
func (l *SessionLog) ID() string { return l.id }

// Meta returns the session as it is, with its Options.
func (l *SessionLog) Meta() (SessionMeta, error) {
	l.db.mu.Lock()
	defer l.db.mu.Unlock()
	s := l.db.sessions[l.id]
	if s == nil {
		return SessionMeta{}, noSession(l.id)
	}
	m := s.public()
	var err error
	m.Options, err = l.db.options(s)
	return m, err
}

// Append writes tokens at the positions from pos on. Positions written before
// are ignored where they hold the same tokens, and are ErrChanged otherwise;
// ErrGap when positions are left out. Readers see the tokens at once; they are
// in the file within the interval of Options.Durability, and with Strict when
// Append returns. An error of the commit means that they are in memory only.
func (l *SessionLog) Append(pos int, tokens []int32) error {
	n, err := l.append(pos, tokens)
	if err != nil || n == 0 || l.db.opt.Durability != Strict {
		return err
	}
	return l.db.sync(n)
}

func (l *SessionLog) append(pos int, tokens []int32) (uint64, error) {
	db := l.db
	db.mu.Lock()
	defer db.mu.Unlock()
	s := db.sessions[l.id]
	if s == nil {
		return 0, noSession(l.id)
	}
	if pos < 0 || pos > s.Position {
		return 0, fmt.Errorf("session %s: append at %d of %d: %w", l.id, pos, s.Position, ErrGap)
	}
	if pos < s.Position {
		known, err := db.tokens(s)
		if err != nil {
			return 0, err
		}
		both := min(s.Position-pos, len(tokens))
		if !slices.Equal(known[pos:pos+both], tokens[:both]) {
			return 0, fmt.Errorf("session %s: append at %d: %w", l.id, pos, ErrChanged)
		}
		tokens = tokens[both:]
	}
	if len(tokens) == 0 {
		return 0, nil
	}
	changes, err := db.extend(s, tokens)
	if err != nil {
		return 0, err
	}
	n, err := db.put(false, changes...)
	if err == nil && db.bytes > db.opt.KeepBytes {
		err = db.sweep()
	}
	return n, err
}

// Tokens returns the whole journal, what no commit has reached yet included.
func (l *SessionLog) Tokens() ([]int32, error) {
	l.db.mu.Lock()
	defer l.db.mu.Unlock()
	s := l.db.sessions[l.id]
	if s == nil {
		return nil, noSession(l.id)
	}
	return l.db.tokens(s)
}

// Truncate drops the tokens at pos and above and counts the branch up, in one
// commit; a pos at the end only counts.
func (l *SessionLog) Truncate(pos int) error {
	db := l.db
	db.mu.Lock()
	defer db.mu.Unlock()
	s := db.sessions[l.id]
	if s == nil {
		return noSession(l.id)
	}
	if pos < 0 || pos > s.Position {
		return fmt.Errorf("session %s: truncate to %d of %d: %w", l.id, pos, s.Position, ErrGap)
	}
	changes, err := db.cut(s, pos)
	if err != nil {
		return err
	}
	_, err = db.put(false, changes...)
	return err
}

// SetMeta writes bundle, mode, epoch, branch, options and Transient of m;
// everything else stays. The branch never goes down.
func (l *SessionLog) SetMeta(m SessionMeta) error {
	if len(m.Options) > maxOptions {
		return fmt.Errorf("session %s: %d bytes of options, at most %d are kept", l.id, len(m.Options), maxOptions)
	}
	db := l.db
	db.mu.Lock()
	defer db.mu.Unlock()
	s := db.sessions[l.id]
	if s == nil {
		return noSession(l.id)
	}
	options := slices.Clone(m.Options)
	db.remove(s)
	s.Bundle, s.Mode, s.Epoch, s.Branch = m.Bundle, m.Mode, m.Epoch, max(s.Branch, m.Branch)
	s.Transient, s.used = m.Transient, time.Now()
	s.Updated = utc(s.used)
	changes := db.changedOptions(s, options)
	db.add(s)
	_, err := db.put(false, changes...)
	return err
}

// Sync returns when all that was appended is in the file, or the commit's error.
func (l *SessionLog) Sync() error { return l.db.Sync() }

// End is called at the end of an answer: it syncs, and drops a session that is
// Transient instead.
func (l *SessionLog) End() error {
	db := l.db
	db.mu.Lock()
	s := db.sessions[l.id]
	transient := s != nil && s.Transient
	var err error
	if transient {
		err = db.drop(l.id)
		db.eraseAfter(eraseExpired)
	}
	db.mu.Unlock()
	if s == nil || transient || err != nil {
		return err
	}
	return db.Sync()
}
