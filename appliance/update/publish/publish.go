// Package publish makes updates: a directory with a program and its kernel libraries, or
// with the images of a system's slots, and the manifest of it, signed in the format of
// minisign where there is a key; and the same in one file. It is for build/update.
package publish

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"aead.dev/minisign"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/update/manifest"
)

// File is one of an update.
type File struct {
	Name       string // as the manifest has it
	From       string // where it is
	Executable bool
}

// Key signs updates. The zero Key signs nothing.
type Key struct {
	private minisign.PrivateKey
	set     bool
}

// ReadKey reads a secret key as minisign -G writes it. The password is for one that is
// encrypted.
func ReadKey(path, password string) (Key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, err
	}
	var k minisign.PrivateKey
	if minisign.IsEncrypted(text) {
		k, err = minisign.DecryptKey(password, text)
	} else {
		err = k.UnmarshalText(text)
	}
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w: is it a secret key of minisign, and the password its own?", path, err)
	}
	return Key{k, true}, nil
}

// NewKey makes a key without a password, writes it to path, which nobody else may read, and
// returns the public key. A file that is there stays, and is an error.
func NewKey(path string) (public string, err error) {
	pub, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	text, err := private.MarshalText()
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.Write(append(text, '\n'))
	return pub.String(), errors.Join(err, f.Close())
}

// Public is the public key, as it is given to boards; "" without a key.
func (k Key) Public() string {
	if !k.set {
		return ""
	}
	return k.private.Public().(minisign.PublicKey).String()
}

// Sign is the signature of a text, nil without a key.
func (k Key) Sign(text []byte, at time.Time, of string) []byte {
	if !k.set {
		return nil
	}
	return minisign.SignWithComments(k.private, text, fmt.Sprintf("timestamp:%d\tfile:%s", at.Unix(), of), "signature of "+of)
}

// SignFile writes the signature of a file beside it, with the suffix .minisig; without a key
// it does nothing.
func (k Key) SignFile(path string, at time.Time) error {
	if !k.set {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path+".minisig", k.Sign(text, at, filepath.Base(path)), 0o644)
}

// Write writes an update into dir, which is made anew, and in one file beside it, archive,
// unless that is "". The manifest's Files are made from files.
func Write(ctx context.Context, dir, archive string, m manifest.Manifest, files []File, k Key) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	m.Format, m.Files = manifest.Format, nil
	for _, f := range files {
		to := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		in, err := os.Open(f.From)
		if err != nil {
			return err
		}
		sum, n, err := disk.WriteFile(ctx, to, func(w io.Writer) error { _, err := io.Copy(w, in); return err })
		in.Close()
		if err != nil {
			return err
		}
		m.Files = append(m.Files, manifest.Entry{Name: f.Name, Size: n, SHA256: sum, Executable: f.Executable})
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if _, err := manifest.Parse(text); err != nil {
		return err
	}
	path := filepath.Join(dir, manifest.File)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	if err := k.SignFile(path, m.Created); err != nil || archive == "" {
		return err
	}
	return pack(dir, archive, m, k.set)
}

// pack writes the archive of a directory.
func pack(dir, archive string, m manifest.Manifest, signed bool) (err error) {
	names := []string{manifest.File}
	if signed {
		names = append(names, manifest.SignatureFile)
	}
	for _, f := range m.Files {
		names = append(names, f.Name)
	}
	out, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := tar.NewWriter(out)
	for _, name := range names {
		if err := add(w, filepath.Join(dir, filepath.FromSlash(name)), name, m.Created); err != nil {
			return err
		}
	}
	return w.Close()
}

func add(w *tar.Writer, path, name string, at time.Time) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: st.Size(), Mode: 0o644, ModTime: at.Truncate(time.Second), Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return err
}
