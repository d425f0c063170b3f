package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// compactTx is how many bytes one transaction of a compaction copies.
const compactTx = 4 << 20

// Check commits what waits and checks the file: its structure, every record's
// checksum, and bbolt's own consistency check. Its error wraps ErrDamaged where
// the file is to blame. Commits wait meanwhile.
func (s *store) Check() error {
	s.committing.Lock()
	defer s.committing.Unlock()
	if err := s.commit(); err != nil {
		return err
	}
	f, err := os.Open(s.path)
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	var bad error
	err = verify(f, info.Size(), func(bucket, key string, value []byte) {
		if bad == nil {
			bad = checkRecord(bucket, key, value)
		}
	})
	if err = errors.Join(err, bad); err != nil {
		// bbolt's check follows pages in a circle for ever: it must not see them.
		return fmt.Errorf("check %s: %w", s.path, err)
	}
	return s.view(func(tx *bbolt.Tx) error {
		var all []error
		for e := range tx.Check() {
			if len(all) < 10 {
				all = append(all, fmt.Errorf("check %s: %w: %w", s.path, ErrDamaged, e))
			}
		}
		return errors.Join(all...)
	})
}

// Compact writes the database anew without the room that deletions left, and
// puts it in place of the old file: one of the two is there whenever the power
// goes. It needs the space of both. Commits wait meanwhile; appends do not.
func (s *store) Compact() error {
	s.committing.Lock()
	defer s.committing.Unlock()
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
	err = guarded(s.path, func() error {
		if err := bbolt.Compact(fresh.DB, s.bolt.DB, compactTx); err != nil {
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
	return errors.Join(syncDir(filepath.Dir(s.path)), fresh.Close())
}
