package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

func readKey(path string) (*ecdsa.PrivateKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("key %s: no key in it", path)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("key %s: it is not of P-256", path)
	}
	return key, nil
}

// newKey is the key of an enrolment that has begun: one whose reply was lost
// goes on with the same key, by which the cloud knows it again.
func newKey(state string) (*ecdsa.PrivateKey, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, unwritable(state, err)
	}
	path := filepath.Join(state, pendingKey)
	if key, err := readKey(path); err == nil {
		return key, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		os.Remove(path) // nobody was certified for what cannot be read
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	err = createFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if errors.Is(err, fs.ErrExist) { // another enrolment was faster
		return readKey(path)
	}
	if err != nil {
		return nil, unwritable(state, err)
	}
	return key, nil
}

// keepKey gives the pending key its name, before the enrolment that names it is
// written.
func keepKey(state string, key *ecdsa.PrivateKey) error {
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	err = os.Link(filepath.Join(state, pendingKey), filepath.Join(state, keyFile(sha256.Sum256(spki))))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return unwritable(state, err)
	}
	return syncDir(state)
}

// dropKeys removes the keys that the enrolment no longer names. What is left
// behind by an error is only in the way.
func dropKeys(state string, keep [32]byte) {
	os.Remove(filepath.Join(state, pendingKey))
	keys, _ := filepath.Glob(filepath.Join(state, "device-*.key"))
	for _, path := range keys {
		if filepath.Base(path) != keyFile(keep) {
			os.Remove(path)
		}
	}
}
