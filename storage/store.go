package storage

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// Store is a bbolt file with the changes that wait for their commit before it.
type Store struct {
	path     string
	kind     Kind
	opt      Options
	interval time.Duration
	medium   Medium
	aside    string

	kick chan struct{} // due became earlier
	stop chan struct{}
	wg   sync.WaitGroup

	committing sync.Mutex // held through a commit, a compaction and Close
	broken     error      // bbolt panicked in a commit; guarded by committing

	boltMu sync.RWMutex // guards bolt, which a compaction swaps
	bolt   *boltFile

	mu     sync.Mutex // guards all following
	dirty  layer      // changes no commit has taken up
	flight layer      // of the commit under way, or of one that failed
	made   uint64     // changes so far
	saved  uint64     // of them, in the file
	due    time.Time  // when dirty is to be committed; zero: nothing waits
	err    error      // of the last commit
	closed bool

	// Of compactions:
	changed    time.Time // when something was last put
	erase      time.Time // since when the file holds what is to be erased from it
	weighed    bool      // since then it was seen whether a compaction is worth it
	retry      time.Time // none before
	compactErr error     // of the last that was due
}

// layer holds changed values by bucket and key; nil deletes.
type layer map[string]map[string][]byte

// Change is a record to be written or deleted; a Bucket or Value makes it.
type Change struct {
	bucket, key string
	value       []byte // nil: deleted
}

func (l layer) set(c Change) {
	if l[c.bucket] == nil {
		l[c.bucket] = map[string][]byte{}
	}
	l[c.bucket][c.key] = c.value
}

// OpenStore opens the database of a kind at path, or makes it; see Open.
func OpenStore(path string, kind Kind, opt Options) (*Store, error) {
	return openFile(path, kind, opt)
}

// Write applies changes, which readers see at once and which are in the file, all of them
// in one commit, within the interval of Options.Durability. Await returns when they are.
func (s *Store) Write(changes ...Change) (n uint64, err error) { return s.put(false, changes...) }

// WriteLazily is Write of what may be lost: it is written with the next commit, or within
// a minute.
func (s *Store) WriteLazily(changes ...Change) error {
	_, err := s.put(true, changes...)
	return err
}

// Await returns when what Write returned n for is in the file, or the error of the commit,
// after which it may or may not get there.
func (s *Store) Await(n uint64) error { return s.sync(n) }

// Keep is Write and Await.
func (s *Store) Keep(changes ...Change) error { return s.keep(changes...) }

// put applies changes in memory; they reach the file in one commit, within the
// interval, or within lazyInterval. It returns what to hand to sync.
func (s *Store) put(lazy bool, changes ...Change) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, fmt.Errorf("%s: %w", s.path, ErrClosed)
	}
	for _, c := range changes {
		s.dirty.set(c)
	}
	s.made++
	s.changed, s.weighed = time.Now(), false
	wait := s.interval
	if lazy {
		wait = max(wait, lazyInterval)
	}
	if at := time.Now().Add(wait); s.due.IsZero() || at.Before(s.due) {
		s.due = at
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
	return s.made, nil
}

// keep is put, and returns when the changes are in the file.
func (s *Store) keep(changes ...Change) error {
	n, err := s.put(false, changes...)
	if err != nil {
		return err
	}
	return s.sync(n)
}

// get returns the newest value of a key, nil when there is none.
func (s *Store) get(bucket, key string) (value []byte, err error) {
	s.mu.Lock()
	for _, l := range []layer{s.dirty, s.flight} {
		if v, ok := l[bucket][key]; ok {
			s.mu.Unlock()
			return v, nil
		}
	}
	s.mu.Unlock()
	err = s.view(func(tx *bbolt.Tx) error {
		value = slices.Clone(tx.Bucket([]byte(bucket)).Get([]byte(key)))
		return nil
	})
	return value, err
}

// pair is a key with its value.
type pair struct {
	key   string
	value []byte
}

// scan returns the pairs of a bucket whose keys have the prefix, in order.
func (s *Store) scan(bucket, prefix string) ([]pair, error) {
	found := map[string][]byte{}
	s.mu.Lock()
	over := maps.Clone(s.flight[bucket])
	if over == nil {
		over = map[string][]byte{}
	}
	maps.Copy(over, s.dirty[bucket])
	s.mu.Unlock()
	err := s.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(bucket)).Cursor()
		for k, v := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix); k, v = c.Next() {
			found[string(k)] = slices.Clone(v)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for k, v := range over {
		if strings.HasPrefix(k, prefix) {
			found[k] = v
		}
	}
	var out []pair
	for _, k := range slices.Sorted(maps.Keys(found)) {
		if found[k] != nil {
			out = append(out, pair{k, found[k]})
		}
	}
	return out, nil
}

// view reads the file. A page that went bad under the running program is an
// error, where bbolt panics or the processor faults.
func (s *Store) view(f func(tx *bbolt.Tx) error) error {
	s.boltMu.RLock()
	defer s.boltMu.RUnlock()
	return guarded(s.path, func() error {
		err := s.bolt.View(f)
		if errors.Is(err, bbolt.ErrDatabaseNotOpen) {
			return fmt.Errorf("%s: %w", s.path, ErrClosed)
		}
		return err
	})
}

// guarded makes an error of a panic or a memory fault inside f.
func guarded(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: %w: %v", path, ErrDamaged, r)
		}
	}()
	return f()
}
