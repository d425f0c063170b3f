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
	var whole []Change
	ours := false
	names, err := verify(f, info.Size(), func(bucket, key string, value []byte) {
		switch {
		case checkRecord(bucket, key, value) != nil:
		case bucket == schemaBucket:
			ours = ours || key == schemaKey
		default:
			whole = append(whole, Change{bucket, key, slices.Clone(value)})
		}
	})
	if err != nil || !ours {
		return nil
	}
	if wrong, right := kind.misnamed(names); wrong != "" {
		for i := range whole {
			if whole[i].bucket == wrong {
				whole[i].bucket = right
			}
		}
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
