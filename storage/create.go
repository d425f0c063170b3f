package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

const (
	// schemaVersion goes up when an older program could not read the file.
	schemaVersion = 1
	schemaBucket  = "schema"
	schemaKey     = "schema"
)

// schema is the first record of the file. Its first two fields stay as they are
// in every version.
type schema struct {
	Kind    string `cbor:"1,keyasint"`
	Version uint32 `cbor:"2,keyasint"`
}

func tempName(path string) string { return path + ".new" }

// create makes a database where there is none: a power cut while bbolt writes
// its first pages leaves a file it cannot open, so that happens under another
// name. It starts with the records of whole. The error has fs.ErrExist when
// another process was first.
func create(path, kind string, buckets []string, timeout time.Duration, whole []Change) (*boltFile, error) {
	b, err := createTemp(path, buckets, timeout, func(tx *bbolt.Tx) error {
		first := seal(schemaKey, schema{kind, schemaVersion})
		return restore(tx, append(whole, Change{schemaBucket, schemaKey, first}))
	})
	if err != nil {
		return nil, err
	}
	if err := renameNew(tempName(path), path); err != nil {
		b.Close()
		if errors.Is(err, fs.ErrNotExist) { // cleaned up by the one who was first
			err = fs.ErrExist
		}
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	return b, nil
}

// createTemp makes an empty database under a temporary name, filled by f in its
// first transaction, locked and synced. What a killed process left is cut.
func createTemp(path string, buckets []string, timeout time.Duration, f func(tx *bbolt.Tx) error) (*boltFile, error) {
	temp := tempName(path)
	file, err := lockFile(temp, os.O_CREATE, timeout)
	if err != nil {
		return nil, err
	}
	if err := file.Truncate(0); err != nil {
		file.Close()
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	b, err := openBolt(file, buckets)
	if err == nil {
		err = b.Update(f)
	}
	if err == nil {
		err = b.Sync()
	}
	if err != nil {
		if b != nil {
			b.Close()
		}
		file.Close()
		os.Remove(temp)
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	return b, nil
}

// renameNew renames durably and replaces nothing, where the file system can
// tell; the error has fs.ErrExist when there is such a file.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		if _, e := os.Lstat(to); e == nil {
			return os.ErrExist
		}
		err = os.Rename(from, to)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
