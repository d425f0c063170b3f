package trust

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// AuthorityName is the file of an authority that AdoptAuthority takes, in the directory that
// holds it.
const AuthorityName = authorityFile

// AdoptAuthority puts the authority in a file, that of another worker of the same cloud, into the
// state directory, where there is none. Where there is another one the error wraps ErrExists.
func AdoptAuthority(state, path string) error {
	given, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	cert, _, err := decodePair(given)
	if err != nil || !cert.IsCA {
		return fmt.Errorf("%s is no authority with its key: put pki/%s of the first worker there", path, authorityFile)
	}
	dir := filepath.Join(state, authorityDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return unwritable(state, err)
	}
	own := filepath.Join(dir, authorityFile)
	if err := createFile(own, given); !errors.Is(err, fs.ErrExist) {
		return err
	}
	had, err := os.ReadFile(own)
	if err != nil {
		return err
	}
	if old, _, err := decodePair(had); err != nil || !bytes.Equal(old.Raw, cert.Raw) {
		return refuse(ErrExists, "%s is of another authority than %s: boards that know one would not know the other (to join the other workers, move %s away; its boards then enroll again)", own, path, dir)
	}
	return nil
}

// WriteAuthority writes the authority of a state directory to path, for its owner alone, so that
// another worker can adopt it.
func WriteAuthority(state, path string) error {
	b, err := os.ReadFile(filepath.Join(state, authorityDir, authorityFile))
	if err != nil {
		return err
	}
	return writeFile(path, b)
}
