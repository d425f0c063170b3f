package main

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// archiveKey signs the index of packages, as apt wants it.
type archiveKey struct{ entity *openpgp.Entity }

// newArchiveKey makes a key that says of itself that nobody should trust it.
func newArchiveKey(path string) (err error) {
	conf := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519, DefaultHash: crypto.SHA512}
	e, err := openpgp.NewEntity("Skerry, throw-away key of a trial", "", "", conf)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w, err := armor.Encode(f, openpgp.PrivateKeyType, nil)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(e.SerializePrivate(w, conf), w.Close(), f.Close())
}

// readArchiveKey reads a secret key with armour.
func readArchiveKey(path, password string) (*archiveKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := openpgp.ReadArmoredKeyRing(f)
	if err != nil || len(list) != 1 || list[0].PrivateKey == nil {
		return nil, fmt.Errorf("%s is not one secret key of OpenPGP: export it with gpg --export-secret-keys --armor ID (%v)", path, err)
	}
	if err := list[0].DecryptPrivateKeys([]byte(password)); err != nil {
		return nil, fmt.Errorf("%s: %w: is APT_PASSWORD its password?", path, err)
	}
	return &archiveKey{list[0]}, nil
}

// public is the public key with armour, as apt takes it for Signed-By.
func (k *archiveKey) public() ([]byte, error) {
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(k.entity.Serialize(w), w.Close()); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

func (k *archiveKey) fingerprint() string {
	return strings.ToUpper(fmt.Sprintf("%x", k.entity.PrimaryKey.Fingerprint))
}

// sign signs a text twice: within the text itself, and apart from it.
func (k *archiveKey) sign(text []byte, now time.Time) (within, apart []byte, err error) {
	conf := &packet.Config{DefaultHash: crypto.SHA512, Time: func() time.Time { return now }}
	signer, ok := k.entity.SigningKey(now)
	if !ok {
		return nil, nil, errors.New("the key of the repository cannot sign now: has it expired? make another, and give its file as APT_KEY")
	}
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, signer.PrivateKey, conf)
	if err != nil {
		return nil, nil, err
	}
	_, err = w.Write(text)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, nil, err
	}
	if within, err = withChecksum(b.Bytes()); err != nil {
		return nil, nil, err
	}
	var d bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&d, k.entity, bytes.NewReader(text), conf); err != nil {
		return nil, nil, err
	}
	d.WriteByte('\n')
	return within, d.Bytes(), nil
}

// withChecksum armours the signature of a text anew: without the checksum, which RFC 9580
// leaves out, the gpgv of Debian 12 reads some signatures beyond their end.
func withChecksum(text []byte) ([]byte, error) {
	signed, _, _ := bytes.Cut(text, []byte("-----BEGIN "+openpgp.SignatureType))
	block, err := armor.Decode(bytes.NewReader(text[len(signed):]))
	if err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(bytes.Clone(signed))
	w, err := armor.Encode(b, openpgp.SignatureType, nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(w, block.Body)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
