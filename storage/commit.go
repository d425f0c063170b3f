package storage

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// run commits what is due, and compacts the file when it is worth it and nothing else is
// written, until stop.
func (s *Store) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.kick:
		case <-timer.C:
			s.mu.Lock()
			due := !s.due.IsZero() && !time.Now().Before(s.due)
			s.mu.Unlock()
			if due {
				s.sync(0)
			}
			s.compactDue()
		}
		timer.Reset(s.rest())
	}
}

// rest is how long there is nothing to do.
func (s *Store) rest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := time.Hour
	for _, at := range []time.Time{s.due, s.compactAt()} {
		if !at.IsZero() {
			wait = min(wait, time.Until(at))
		}
	}
	return wait
}

// sync returns when the first n changes are in the file; with n 0 it commits
// whatever waits. Callers that come together share a commit.
func (s *Store) sync(n uint64) error {
	s.committing.Lock()
	defer s.committing.Unlock()
	s.mu.Lock()
	done := n > 0 && s.saved >= n
	s.mu.Unlock()
	if done {
		return nil
	}
	return s.commit()
}

// Sync writes every change made so far to the file. It returns the commit's
// error; the changes are then kept and tried again.
func (s *Store) Sync() error {
	s.mu.Lock()
	n := s.made
	s.mu.Unlock()
	if n == 0 {
		return nil
	}
	return s.sync(n)
}

// Err returns why the last commit failed, nil once one has succeeded again.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// commit writes what waits in one transaction; the caller holds committing.
func (s *Store) commit() error {
	s.mu.Lock()
	if s.flight == nil {
		s.flight = layer{}
	}
	for bucket, values := range s.dirty {
		for key, value := range values {
			s.flight.set(Change{bucket, key, value})
		}
	}
	s.dirty, s.due = layer{}, time.Time{}
	n, flight := s.made, s.flight
	s.mu.Unlock()

	err := s.write(flight)

	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.err = fmt.Errorf("%s: nothing is lost yet, but it cannot be written: %w", s.path, err)
		s.due = time.Now().Add(s.interval)
		select {
		case s.kick <- struct{}{}: // run may have looked while nothing was due
		default:
		}
		return s.err
	}
	s.flight, s.saved, s.err = nil, n, nil
	return nil
}

// write puts a layer into the file, all of it or nothing. A bbolt that panics
// over a damaged page in a commit keeps its locks, and is not called again.
func (s *Store) write(l layer) error {
	if len(l) == 0 || s.broken != nil {
		return s.broken
	}
	s.boltMu.RLock()
	defer s.boltMu.RUnlock()
	returned := false
	err := guarded(s.path, func() (err error) {
		err = s.bolt.Update(func(tx *bbolt.Tx) error {
			for _, name := range slices.Sorted(maps.Keys(l)) {
				b := tx.Bucket([]byte(name))
				for _, key := range slices.Sorted(maps.Keys(l[name])) {
					var err error
					if value := l[name][key]; value == nil {
						err = b.Delete([]byte(key))
					} else {
						err = b.Put([]byte(key), value)
					}
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
		returned = true
		return err
	})
	if !returned {
		s.broken = err
	}
	return err
}

// Close commits what waits, compacts the file where that is worth it, and closes it. It
// returns the commit's error; what could not be written is then lost.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	close(s.stop)
	s.wg.Wait()
	s.committing.Lock()
	defer s.committing.Unlock()
	err := s.commit()
	s.mu.Lock()
	erase := !s.erase.IsZero()
	s.mu.Unlock()
	if err == nil && s.broken == nil && (erase || s.wasteful()) {
		s.compact() // the next process makes up for one that fails
	}
	s.boltMu.Lock()
	defer s.boltMu.Unlock()
	if s.broken != nil {
		return errors.Join(err, s.bolt.file.Close()) // gives the lock back, at least
	}
	if e := s.bolt.Close(); err == nil && e != nil {
		err = fmt.Errorf("%s: %w", s.path, e)
	}
	return err
}

// SetAside returns where a damaged file was put when this one was made in its
// place, "" when none was.
func (s *Store) SetAside() string { return s.aside }

// Medium returns the kind of storage the file lies on.
func (s *Store) Medium() Medium { return s.medium }
