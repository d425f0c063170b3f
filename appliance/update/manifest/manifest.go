// Package manifest reads what an update says of itself: a small JSON file, signed in the
// format of minisign, so that anybody can check it with that tool:
//
//	minisign -Vm manifest.json -P KEY
//
// A manifest that is not signed by a pinned key is not looked into.
package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"time"
)

// Names of the files of an update, beside those that the manifest lists.
const (
	File          = "manifest.json"
	SignatureFile = File + ".minisig"
)

// Limits, in bytes and files.
const (
	MaxSize      = 256 << 10
	MaxSignature = 4 << 10
	maxFiles     = 4096
	maxFile      = 1 << 44
)

// Format is the version of the manifest's own format.
const Format = 1

// Kinds of what an update replaces.
const (
	System  = "system"  // an image's slot: the root file system and what boots it
	Program = "program" // the program of a package, with its kernels
	Bundle  = "bundle"  // a model bundle
)

// Manifest says what an update is, and for whom.
type Manifest struct {
	Format  int     `json:"format"`
	Kind    string  `json:"kind"`
	Version Version `json:"version"`
	// Board is the kind of board that the files are for, as pi or uefi; "any" for all.
	Board string `json:"board"`
	// Arch is as in GOARCH; "any" for all.
	Arch string `json:"arch"`
	// Created and Expires bound the time in which the update may be applied.
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// Minimum is the oldest version from which one may go to this one; nil for all.
	Minimum *Version `json:"minimum,omitempty"`
	Files   []Entry  `json:"files"`
}

// Entry is one file of an update.
type Entry struct {
	// Name is a path relative to the manifest, with slashes.
	Name   string `json:"name"`
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
	// Executable is set of programs.
	Executable bool `json:"executable,omitempty"`
}

// EntryOf is a file at a path as it is listed under a name.
func EntryOf(name, path string) (Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return Entry{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return Entry{Name: name, Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, err
}

var (
	word    = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,31}$`)
	hexSum  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	aPath   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]*(/[A-Za-z0-9_][A-Za-z0-9._+-]*){0,3}$`)
	maxPath = 200
)

// Parse reads a manifest and checks that what it says is possible. It does not look at
// signatures: see Open. Errors are a *Refusal of Malformed.
func Parse(text []byte) (*Manifest, error) {
	if len(text) > MaxSize {
		return nil, malformed("it has %d bytes, of at most %d", len(text), MaxSize)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	m := new(Manifest)
	if err := d.Decode(m); err != nil {
		return nil, malformed("%v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("something follows it")
	}
	return m, m.check()
}

// Total is how many bytes the files have.
func (m *Manifest) Total() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

func (m *Manifest) check() error {
	switch {
	case m.Format != Format:
		return &Refusal{Malformed, fmt.Sprintf("the update is described in format %d, and this program knows format %d", m.Format, Format),
			"install a newer version by hand first"}
	case m.Kind != System && m.Kind != Program && m.Kind != Bundle:
		return malformed("its kind %.40q is none of %s, %s and %s", m.Kind, System, Program, Bundle)
	case !word.MatchString(m.Board), !word.MatchString(m.Arch):
		return malformed("its board %.40q or architecture %.40q is no name", m.Board, m.Arch)
	case m.Created.IsZero(), !m.Created.Before(m.Expires):
		return malformed("it expires before it was made")
	case len(m.Files) == 0, len(m.Files) > maxFiles:
		return malformed("it lists %d files, of 1 to %d", len(m.Files), maxFiles)
	}
	seen := map[string]bool{}
	for _, f := range m.Files {
		switch {
		case !fs.ValidPath(f.Name), !aPath.MatchString(f.Name), len(f.Name) > maxPath:
			return malformed("the file name %.80q is not allowed", f.Name)
		case f.Name == File, f.Name == SignatureFile, seen[f.Name]:
			return malformed("the file %s is listed twice", f.Name)
		case f.Size <= 0, f.Size > maxFile:
			return malformed("the file %s would have %d bytes", f.Name, f.Size)
		case !hexSum.MatchString(f.SHA256):
			return malformed("the sha256 of %s is no 64 lower-case hex digits", f.Name)
		}
		seen[f.Name] = true
	}
	for _, f := range m.Files {
		for dir := path.Dir(f.Name); dir != "."; dir = path.Dir(dir) {
			if seen[dir] {
				return malformed("%s is a file and a directory", dir)
			}
		}
	}
	if m.Total() > maxFile {
		return malformed("its files would have %d bytes", m.Total())
	}
	return nil
}
