package storage

import (
	"fmt"
	"sync"
	"time"
)

// Buckets of a board's database.
const (
	sessionBucket = "sessions" // by id: sessionRecord
	optionsBucket = "options"  // by id: bytes, a session's Options
	tokenBucket   = "tokens"   // by id, NUL and number: chunk
	ticketBucket  = "tickets"  // by cloud, NUL and number: bytes
	valueBucket   = "values"   // by name: bytes or a time
)

// LinkBucket has the history of the link, whose records are for the one to define who
// keeps it.
const LinkBucket = "link"

// boardKind is that of a board's database.
var boardKind = Kind{
	Name: "board",
	Tables: []Table{
		NewBucket(sessionBucket, checkSession), sealed(optionsBucket), sealed(tokenBucket),
		NewBucket[[]byte](ticketBucket, nil), sealed(LinkBucket),
	},
	Values: []Named{NewValue[time.Time](timeKey), NewValue[uint64](epochKey), NewValue[[]byte](enrolmentKey), NewValue[string](addressKey), NewValue[monthly](bytesKey)},
}

func checkSession(id string, r sessionRecord) error {
	if r.Position < 0 || r.Position > 1<<30 {
		return fmt.Errorf("record %q: %w: position %d", id, ErrDamaged, r.Position)
	}
	return CheckSession(id)
}

// DB is a board's database. Its methods may be called concurrently.
type DB struct {
	*Store
	epochs epochs

	mu       sync.Mutex                // guards all following, and reading before writing
	sessions map[string]*session       // all there are
	list     []*session                // the same in the order of byChange
	counts   map[string]*SessionCounts // of them, by owner
	bytes    int64                     // of sessions
	swept    time.Time
	tickets  uint64 // number of the newest
}

// Open opens a board's database, or makes it. A damaged file is set aside and
// a fresh one made, with the records of the old that are whole where its structure
// is; SetAside tells. It returns ErrLocked while another process
// has the file, ErrNewer and ErrKind for a file that is not for this program.
func Open(path string, opt Options) (*DB, error) {
	s, err := openFile(path, boardKind, opt)
	if err != nil {
		return nil, err
	}
	db := &DB{Store: s, sessions: map[string]*session{}, counts: map[string]*SessionCounts{}}
	for _, load := range []func() error{db.loadSessions, db.loadEpochs, db.loadTickets} {
		if err := load(); err != nil {
			s.Close()
			return nil, err
		}
	}
	if left, err := db.get(valueBucket, forgottenKey); err != nil {
		s.Close()
		return nil, err
	} else if left != nil { // the process before was ended before it was erased
		db.eraseAfter(0)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if err := db.sweep(); err != nil {
		s.Close()
		return nil, err
	}
	return db, nil
}
