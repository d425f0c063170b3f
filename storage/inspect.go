package storage

import (
	"fmt"
	"os"
)

// inspect decides whether a locked file may be opened. It returns ErrNewer or
// ErrKind for a whole file that is not ours to touch, and otherwise an error
// that wraps ErrDamaged.
func inspect(f *os.File, kind Kind) error {
	checkRecord := kind.checker()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var first []byte
	var bad error
	err = verify(f, info.Size(), func(bucket, key string, value []byte) {
		if bucket == schemaBucket && key == schemaKey {
			first = value
		} else if bad == nil {
			bad = checkRecord(bucket, key, value)
		}
	})
	if err != nil {
		return err
	}
	var s schema
	if err := unseal(schemaKey, first, &s); err != nil {
		return err
	}
	switch {
	case s.Kind != kind.Name:
		return fmt.Errorf("%w: this is a %s's, not a %s's; name another directory with --state", ErrKind, s.Kind, kind.Name)
	case s.Version > schemaVersion:
		return fmt.Errorf("%w: schema %d, this program knows %d; update skerry or name another directory with --state",
			ErrNewer, s.Version, schemaVersion)
	}
	return bad
}
