package storage

import (
	"fmt"
	"os"
	"slices"
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
	names, err := verify(f, info.Size(), func(bucket, key string, value []byte) {
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
	if wrong, right := kind.misnamed(names); wrong != "" {
		return fmt.Errorf("%w: the bucket %q is called %q", ErrDamaged, right, wrong)
	}
	return bad
}

// misnamed returns the bucket whose name changed in one byte, and its name: no checksum of
// bbolt's covers names, and a table whose name is not found reads as empty. A bucket that
// only another version knows resembles none that is missing.
func (k Kind) misnamed(names []string) (wrong, right string) {
	known := k.buckets()
	for _, right := range known {
		if slices.Contains(names, right) {
			continue
		}
		for _, wrong := range names {
			if !slices.Contains(known, wrong) && differInOneByte(wrong, right) {
				return wrong, right
			}
		}
	}
	return "", ""
}

func differInOneByte(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	n := 0
	for i := range len(a) {
		if a[i] != b[i] {
			n++
		}
	}
	return n == 1
}
