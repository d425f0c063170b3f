package storage

import "errors"

// Errors of Open and OpenStore.
var (
	// ErrLocked: another process has the file open.
	ErrLocked = errors.New("another process has it")
	// ErrNewer: a newer version of the program wrote the file.
	ErrNewer = errors.New("written by a newer version")
	// ErrKind: the file is a cloud's and not a board's, or the other way round.
	ErrKind = errors.New("wrong kind of database")
)

// Errors of any call.
var (
	// ErrClosed: the database is closed.
	ErrClosed = errors.New("database is closed")
	// ErrDamaged: what the file holds is not what was written to it.
	ErrDamaged = errors.New("damaged")
	// ErrName: a name or id is empty, too long or not text.
	ErrName = errors.New("bad name")
)

// Errors of sessions.
var (
	ErrNoSession = errors.New("no such session")
	ErrExists    = errors.New("session exists already")
	// ErrGap: tokens at positions beyond the end of the journal.
	ErrGap = errors.New("positions are left out")
	// ErrChanged: another token is written at that position; truncate first.
	ErrChanged = errors.New("position holds another token")
)

// ErrEpoch is returned for a connection number too high to count on from.
var ErrEpoch = errors.New("connection number out of range")
