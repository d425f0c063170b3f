package fleet

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// secretLen is that of the secret that all workers share, in bytes.
const secretLen = 32

// ErrSealed says that a record was not written by a worker with this fleet's secret, or lies
// under another key than it was written to.
var ErrSealed = errors.New("a record of the fleet is sealed with another secret: all workers need the same pki/ca.pem")

// sealer makes records that whoever reads etcd can neither read nor make.
type sealer struct{ aead cipher.AEAD }

func newSealer(secret []byte) (sealer, error) {
	if len(secret) != secretLen {
		return sealer{}, fmt.Errorf("fleet: a secret of %d bytes, %d are wanted", len(secret), secretLen)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "skerry fleet records", 32)
	if err != nil {
		return sealer{}, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return sealer{aead}, err
}

func (s sealer) seal(key string, plain []byte) []byte {
	return s.aead.Seal(nil, nil, plain, []byte(key))
}

func (s sealer) open(key string, sealed []byte) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, []byte(key))
	if err != nil {
		return nil, ErrSealed
	}
	return nonNil(plain), nil
}

// NewSecret draws a secret for a fleet.
func NewSecret() []byte {
	secret := make([]byte, secretLen)
	rand.Read(secret)
	return secret
}
