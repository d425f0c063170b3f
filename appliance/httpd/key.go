package httpd

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// prefix of every key, so that one found in a file is known for what it is.
const prefix = "sk-skerry-"

// Key is a client's, as it is stored: the secret itself is shown once and kept by
// nobody.
type Key struct {
	Name    string    `json:"name"`
	Hash    digest    `json:"sha256"` // of the whole key as it is sent
	Created time.Time `json:"created"`
	Used    string    `json:"last_used,omitempty"` // day, UTC; "" for never
	Scopes  Scopes    `json:"scopes,omitempty"`    // none, as in files of before there were any: ScopeAsk
}

// digest is a SHA-256, in hex where it is text. The key has 256 random bits: there
// is nothing to guess, and a slow hash would only slow requests.
type digest [sha256.Size]byte

// MarshalText is hex.
func (d digest) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(d[:])), nil }

// UnmarshalText is strict about the length.
func (d *digest) UnmarshalText(text []byte) error {
	if len(text) != 2*len(d) {
		return fmt.Errorf("a sha256 has %d hexadecimal digits, this one has %d", 2*len(d), len(text))
	}
	_, err := hex.Decode(d[:], text)
	return err
}

// newSecret is a key as its owner gets it.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

func hashOf(secret string) digest { return sha256.Sum256([]byte(secret)) }

// find returns the key of a secret, in a time that does not depend on how alike
// they are; nil where there is none.
func find(keys []Key, secret string) (found *Key) {
	h := hashOf(secret)
	for i := range keys {
		if subtle.ConstantTimeCompare(h[:], keys[i].Hash[:]) == 1 {
			found = &keys[i]
		}
	}
	return found
}

// maxName of a key, in bytes.
const maxName = 64

// CheckName says what is wrong with a name for a key.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("a key needs a name that says whose it is, as laptop")
	case len(name) > maxName:
		return fmt.Errorf("the name has %d bytes: choose at most %d", len(name), maxName)
	case strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.@", r))
	}):
		return fmt.Errorf("the name %q: use letters, digits and - _ . @", name)
	}
	return nil
}

// keyFile is what keys.json holds.
type keyFile struct {
	Keys []Key `json:"keys"`
}

// decodeKeys reads a key file; what is odd in it is an error, never a key.
func decodeKeys(data []byte) ([]Key, error) {
	var f keyFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, k := range f.Keys {
		if err := CheckName(k.Name); err != nil {
			return nil, err
		}
		if seen[k.Name] {
			return nil, fmt.Errorf("two keys are named %s", k.Name)
		}
		if k.Hash == (digest{}) {
			return nil, fmt.Errorf("key %s has no sha256", k.Name)
		}
		if err := k.Scopes.check(); k.Scopes != nil && err != nil {
			return nil, fmt.Errorf("key %s: %w", k.Name, err)
		}
		seen[k.Name] = true
	}
	return f.Keys, nil
}

func encodeKeys(keys []Key) ([]byte, error) {
	data, err := json.MarshalIndent(keyFile{keys}, "", "  ")
	return append(data, '\n'), err
}
