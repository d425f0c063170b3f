package storage

import (
	"sync"
	"time"
)

// Buckets of a board's database.
const (
	sessionBucket = "sessions" // by id: sessionRecord
	tokenBucket   = "tokens"   // by id, NUL and number: chunk
	ticketBucket  = "tickets"  // by cloud, NUL and number: bytes
	linkBucket    = "link"     // by time and number: LinkSample
	valueBucket   = "values"   // by name: bytes or a time
)

var boardBuckets = []string{schemaBucket, sessionBucket, tokenBucket, ticketBucket, linkBucket, valueBucket}

// DB is a board's database. Its methods may be called concurrently.
type DB struct {
	*store
	epochs epochs

	mu       sync.Mutex          // guards all following, and reading before writing
	sessions map[string]*session // all there are
	bytes    int64               // of sessions
	swept    time.Time
	tickets  uint64 // number of the newest
	links    linkRing
}

// Open opens a board's database, or makes it. A damaged file is set aside and
// a fresh one made, with the records of the old that are whole where its structure
// is; SetAside tells. It returns ErrLocked while another process
// has the file, ErrNewer and ErrKind for a file that is not for this program.
func Open(path string, opt Options) (*DB, error) {
	s, err := openFile(path, "board", boardBuckets, opt)
	if err != nil {
		return nil, err
	}
	db := &DB{store: s, sessions: map[string]*session{}}
	for _, load := range []func() error{db.loadSessions, db.loadEpochs, db.loadTickets, db.loadLink} {
		if err := load(); err != nil {
			s.Close()
			return nil, err
		}
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if err := db.sweep(); err != nil {
		s.Close()
		return nil, err
	}
	return db, nil
}
