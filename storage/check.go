package storage

import (
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
)

// Check commits what waits and checks the file: its structure, every record's
// checksum, and bbolt's own consistency check. Its error wraps ErrDamaged where
// the file is to blame. Commits wait meanwhile.
func (s *Store) Check() error {
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
	checkRecord := s.kind.checker()
	names, err := verify(f, info.Size(), func(bucket, key string, value []byte) {
		if bad == nil {
			bad = checkRecord(bucket, key, value)
		}
	})
	if wrong, right := s.kind.misnamed(names); wrong != "" {
		bad = fmt.Errorf("%w: the bucket %q is called %q", ErrDamaged, right, wrong)
	}
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
