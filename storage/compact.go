package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// compactTx is how many bytes one transaction of a compaction copies.
	compactTx = 4 << 20
	// wasteBytes of free pages, and half of the file, are worth a compaction.
	wasteBytes = 1 << 20
	// compactIdle is how long nothing may have been put before a compaction, which has
	// commits wait; one that is to erase what was forgotten waits no longer than
	// compactLatest for that.
	compactIdle   = 5 * time.Second
	compactLatest = 5 * time.Minute
	// compactRetry is after one that failed, as on a full disk.
	compactRetry = time.Hour
)

// forgottenKey marks, until a compaction, a file with records that were to be forgotten:
// their pages are free, and still hold them.
const forgottenKey = "forgotten"

// Compact writes the database anew without the room that deletions left, and
// puts it in place of the old file: one of the two is there whenever the power
// goes or the process is killed. Nothing that was deleted is in the new file. It
// needs the space of both. Commits wait meanwhile; appends do not.
func (s *Store) Compact() error {
	s.committing.Lock()
	defer s.committing.Unlock()
	return s.compact()
}

// compact is Compact; the caller holds committing. What is forgotten meanwhile is copied
// too, and is for the next one to erase.
func (s *Store) compact() (err error) {
	s.mu.Lock()
	erase := s.erase
	s.erase = time.Time{}
	s.mu.Unlock()
	swapped := false
	defer func() {
		if swapped || erase.IsZero() {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.erase.IsZero() || erase.Before(s.erase) {
			s.erase = erase
		}
	}()
	if err := s.commit(); err != nil {
		return err
	}
	if s.broken != nil {
		return s.broken
	}
	fresh, err := createTemp(s.path, nil, s.opt.LockTimeout, func(*bbolt.Tx) error { return nil })
	if err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	if err = alike(fresh.file, s.bolt.file); err != nil {
		fresh.Close()
		os.Remove(tempName(s.path))
		return fmt.Errorf("compact %s: %w", s.path, err)
	}
	err = guarded(s.path, func() error {
		if err := bbolt.Compact(fresh.DB, s.bolt.DB, compactTx); err != nil {
			return err
		}
		// In a transaction of its own: afterwards both meta pages name the whole of it.
		if err := fresh.Update(unmark); err != nil {
			return err
		}
		return fresh.Sync()
	})
	if err == nil {
		err = os.Rename(tempName(s.path), s.path)
	}
	if err != nil {
		fresh.Close()
		os.Remove(tempName(s.path))
		return fmt.Errorf("compact %s: %w", s.path, err)
	}
	// From here on the new file is the one at the path, synced or not.
	s.boltMu.Lock()
	s.bolt, fresh = fresh, s.bolt
	s.boltMu.Unlock()
	swapped = true
	return errors.Join(syncDir(filepath.Dir(s.path)), fresh.Close())
}

// alike gives the file that is to take the place of another its owner and mode: the
// program that compacts may be root's, as one command of a daemon's user is.
func alike(fresh, old *os.File) error {
	was, err := old.Stat()
	if err != nil {
		return err
	}
	is, err := fresh.Stat()
	if err != nil {
		return err
	}
	to, from := was.Sys().(*syscall.Stat_t), is.Sys().(*syscall.Stat_t)
	if to.Uid != from.Uid || to.Gid != from.Gid {
		if err := fresh.Chown(int(to.Uid), int(to.Gid)); err != nil {
			return err
		}
	}
	if was.Mode().Perm() == is.Mode().Perm() {
		return nil
	}
	return fresh.Chmod(was.Mode().Perm())
}

// unmark says that nothing forgotten is left in the file.
func unmark(tx *bbolt.Tx) error {
	if b := tx.Bucket([]byte(valueBucket)); b != nil {
		return b.Delete([]byte(forgottenKey))
	}
	return nil
}

// mark is the change that has the free pages of what is forgotten with it be erased
// soon, if need be by the next process.
func mark() Change {
	return Change{valueBucket, forgottenKey, seal(forgottenKey, utc(time.Now()))}
}

// eraseExpired is how long what has expired may stay in free pages: the sessions of an
// hour share a compaction.
const eraseExpired = time.Hour

// eraseAfter has the file compacted after d, once nothing is written for a while.
func (s *Store) eraseAfter(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := time.Now().Add(d); s.erase.IsZero() || at.Before(s.erase) {
		s.erase = at
	}
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// compactAt is when to see whether the file is to be compacted, the zero time for not at
// all. The caller holds mu.
func (s *Store) compactAt() (at time.Time) {
	idle := s.changed.Add(compactIdle)
	switch {
	case !s.erase.IsZero():
		at = s.erase
		if idle.After(at) {
			at = idle
		}
		if latest := s.erase.Add(compactLatest); at.After(latest) {
			at = latest
		}
	case !s.weighed && !s.changed.IsZero():
		at = idle
	default:
		return at
	}
	if at.Before(s.retry) {
		at = s.retry
	}
	return at
}

// compactDue compacts the file where it is time to and worth it.
func (s *Store) compactDue() {
	s.mu.Lock()
	at, erase := s.compactAt(), !s.erase.IsZero()
	s.mu.Unlock()
	if at.IsZero() || time.Now().Before(at) {
		return
	}
	s.mu.Lock()
	s.weighed = true
	s.mu.Unlock()
	var err error
	if erase || s.wasteful() {
		err = s.Compact()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.compactErr = err; err != nil {
		s.retry, s.weighed = time.Now().Add(compactRetry), false
	}
}

// CompactErr returns why the last compaction that was due failed, nil once one has
// succeeded. What was forgotten is then still in the free pages of the file.
func (s *Store) CompactErr() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.compactErr
}

// wasteful reports whether so much of the file is free that a compaction is worth it.
func (s *Store) wasteful() bool {
	s.boltMu.RLock()
	defer s.boltMu.RUnlock()
	free, all := freePages(s.bolt.file)
	return free*pageSize >= wasteBytes && 2*free >= all
}

// freePages of the pages that the newest commit's trees lie among; 0 where that cannot
// be read.
func freePages(f *os.File) (free, all uint64) {
	st, err := f.Stat()
	if err != nil {
		return 0, 0
	}
	m, err := newestMeta(f, st.Size())
	if err != nil {
		return 0, 0
	}
	var buf [pageHeader + 8]byte
	if _, err := f.ReadAt(buf[:], int64(m.freelist)*pageSize); err != nil && !errors.Is(err, io.EOF) {
		return 0, 0
	}
	p := parsePage(buf[:])
	if p.flags != flagFreelist {
		return 0, 0
	}
	if free = uint64(p.count); free == 0xFFFF {
		free = binary.LittleEndian.Uint64(buf[pageHeader:])
	}
	return min(free, m.highWater), m.highWater
}
