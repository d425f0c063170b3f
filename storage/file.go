package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// openFile opens the database at path, or makes it. It holds the file's lock
// from before the first look at it until Close.
func openFile(path string, kind Kind, opt Options) (*Store, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	s := &Store{
		path: path, kind: kind, opt: opt, dirty: layer{},
		kick: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	s.medium = mediumOf(opt.Sys, dir)
	s.interval = opt.interval(s.medium)
	if s.bolt, s.aside, err = openOrCreate(path, kind, opt.LockTimeout); err != nil {
		return nil, err
	}
	s.wg.Go(s.run)
	return s, nil
}

func openOrCreate(path string, kind Kind, timeout time.Duration) (b *boltFile, aside string, err error) {
	var whole []Change
	for range 10 { // each turn but the last lost a race with another process
		b, err = openExisting(path, kind, timeout)
		switch {
		case err == nil:
			return b, aside, nil
		case errors.Is(err, fs.ErrNotExist):
			if b, err = create(path, kind.Name, kind.buckets(), timeout, whole); err == nil {
				return b, aside, nil
			}
			if !errors.Is(err, fs.ErrExist) {
				return nil, aside, err
			}
		default:
			var d *damagedError
			if !errors.As(err, &d) {
				return nil, aside, err
			}
			aside, whole = d.aside, d.whole
		}
	}
	return nil, aside, err
}

// openExisting returns an error with fs.ErrNotExist when there is no file, and
// a *damagedError after it has put a damaged one aside.
func openExisting(path string, kind Kind, timeout time.Duration) (*boltFile, error) {
	f, err := lockFile(path, 0, timeout)
	if err != nil {
		return nil, err
	}
	err = inspect(f, kind)
	var b *boltFile
	if err == nil {
		if b, err = openBolt(f, kind.buckets()); err == nil {
			os.Remove(tempName(path)) // of a creation or compaction that was cut
			return b, nil
		}
	}
	defer f.Close()
	if !errors.Is(err, ErrDamaged) {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	whole := rescue(f, kind)
	aside, failed := setAside(path)
	if failed != nil {
		return nil, fmt.Errorf("database %s: %w; it could not be set aside: %v", path, err, failed)
	}
	return nil, &damagedError{fmt.Errorf("database %s: %w", path, err), aside, whole}
}

// boltFile is an open database with its file.
type boltFile struct {
	*bbolt.DB
	file *os.File
}

// openBolt hands a locked and inspected file to bbolt, which then owns it.
func openBolt(f *os.File, buckets []string) (*boltFile, error) {
	var b *bbolt.DB
	err := guarded(f.Name(), func() (err error) {
		b, err = bbolt.Open(f.Name(), 0o600, &bbolt.Options{
			PageSize: pageSize, NoStatistics: true,
			OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		})
		if err != nil {
			return err
		}
		return addBuckets(b, buckets)
	})
	if err != nil && b != nil {
		b.Close()
	}
	if err != nil {
		return nil, err
	}
	return &boltFile{b, f}, nil
}

// addBuckets makes the buckets that an older version did not know.
func addBuckets(b *bbolt.DB, buckets []string) error {
	missing := false
	err := b.View(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			missing = missing || tx.Bucket([]byte(name)) == nil
		}
		return nil
	})
	if err != nil || !missing {
		return err
	}
	return b.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// damagedError says what was found, where the file is now, and what was whole.
type damagedError struct {
	cause error
	aside string
	whole []Change
}

func (e *damagedError) Error() string { return e.cause.Error() }
func (e *damagedError) Unwrap() error { return e.cause }

// setAside renames a damaged file to a dated name, no other file's.
func setAside(path string) (aside string, err error) {
	stamp := path + ".damaged-" + time.Now().UTC().Format("20060102T150405Z")
	for i := range 1000 {
		aside = stamp
		if i > 0 {
			aside = fmt.Sprintf("%s.%d", stamp, i)
		}
		if err = renameNew(path, aside); !errors.Is(err, fs.ErrExist) {
			return aside, err
		}
	}
	return "", err
}
