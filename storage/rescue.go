package storage

import (
	"os"
	"slices"

	"go.etcd.io/bbolt"
)

// rescue returns what is whole in a damaged file: every record but those with a
// bad checksum where the structure holds, nothing where it does not. A cloud
// that loses one record of a device need not enrol all of them anew.
func rescue(f *os.File, kind Kind) []Change {
	checkRecord := kind.checker()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	var all, whole []Change
	names, err := verify(f, info.Size(), func(bucket, key string, value []byte) {
		all = append(all, Change{bucket, key, slices.Clone(value)})
	})
	if err != nil {
		return nil
	}
	ours := false
	wrong, right := kind.misnamed(names)
	for _, c := range all {
		if wrong != "" && c.bucket == wrong {
			c.bucket = right
		}
		switch {
		case checkRecord(c.bucket, c.key, c.value) != nil:
		case c.bucket == schemaBucket:
			ours = ours || c.key == schemaKey
		default:
			whole = append(whole, c)
		}
	}
	if !ours {
		return nil
	}
	return whole
}

// restore writes rescued records into a fresh file.
func restore(tx *bbolt.Tx, whole []Change) error {
	for _, c := range whole {
		b, err := tx.CreateBucketIfNotExists([]byte(c.bucket))
		if err != nil {
			return err
		}
		if err := b.Put([]byte(c.key), c.value); err != nil {
			return err
		}
	}
	return nil
}
