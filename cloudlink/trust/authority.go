package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Names within the state directory of a cloud. Each file holds a certificate
// and its key, so that one write replaces both.
const (
	authorityDir  = "pki"
	authorityFile = "ca.pem"
	serverFile    = "server.pem"
)

// ServerName is what the certificate of every cloud says it is: boards check
// this, and the authority, whatever address they dial.
const ServerName = "skerry-cloud"

// Authority is a cloud's certificate authority and its server certificate. Its
// methods may be called concurrently.
type Authority struct {
	dir  string
	now  func() time.Time
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu     sync.Mutex // guards server
	server *tls.Certificate
}

// Initialized reports whether CreateAuthority has been done in state.
func Initialized(state string) bool {
	_, err := os.Stat(filepath.Join(state, authorityDir, authorityFile))
	return err == nil
}

// CreateAuthority makes an authority and a server certificate for names (hosts
// or IP addresses under which boards reach the cloud; may be empty) in the
// directory state. It returns an error wrapping ErrExists where there is one.
func CreateAuthority(state string, names []string, now func() time.Time) (*Authority, error) {
	dir := filepath.Join(state, authorityDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unwritable(state, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := newAuthorityCert(key, now())
	if err != nil {
		return nil, err
	}
	b, err := encodePair(cert.Raw, key)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, authorityFile)
	if err := createFile(path, b); errors.Is(err, fs.ErrExist) {
		return nil, refuse(ErrExists, "%s (every enrolled board depends on it; `skerry cloud init --renew` makes a new server certificate, and deleting the file ends all trust)", path)
	} else if err != nil {
		return nil, unwritable(state, err)
	}
	a := &Authority{dir: dir, now: now, cert: cert, key: key}
	return a, a.Renew(names)
}

// OpenAuthority reads the authority in state; an error wraps ErrNoAuthority
// where there is none. A server certificate that is missing or has less than a
// third of its life left is made anew.
func OpenAuthority(state string, now func() time.Time) (*Authority, error) {
	a := &Authority{dir: filepath.Join(state, authorityDir), now: now}
	path := filepath.Join(a.dir, authorityFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse(ErrNoAuthority, "run `skerry cloud init` with its --state %s", state)
	}
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	a.cert, a.key, err = decodePair(b)
	if err == nil && !a.cert.IsCA {
		err = errors.New("it is no certificate authority")
	}
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w (restore it from a copy)", path, err)
	}
	a.server, err = tlsPair(filepath.Join(a.dir, serverFile))
	if errors.Is(err, fs.ErrNotExist) || err == nil && Due(a.server.Leaf, now()) {
		err = a.Renew(nil)
	}
	return a, err
}

// Renew makes a new server certificate, for the names of the last one if names
// is empty. Connections made from then on use it.
func (a *Authority) Renew(names []string) error {
	if len(names) == 0 {
		names = a.Names()
	}
	b, err := a.newServerPair(names)
	if err != nil {
		return err
	}
	path := filepath.Join(a.dir, serverFile)
	if err := writeFile(path, b); err != nil {
		return unwritable(a.dir, err)
	}
	pair, err := tlsPair(path)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.server = pair
	return nil
}

// Server returns the server certificate, with the authority's behind it, and
// renews it when it is due: a cloud may run longer than a certificate lives.
func (a *Authority) Server() (*tls.Certificate, error) {
	a.mu.Lock()
	pair := a.server
	a.mu.Unlock()
	if Due(pair.Leaf, a.now()) {
		if err := a.Renew(nil); err != nil && a.now().After(pair.Leaf.NotAfter) {
			return nil, err
		}
		a.mu.Lock()
		pair = a.server
		a.mu.Unlock()
	}
	return pair, nil
}

// Names are the hosts and addresses of the server certificate.
func (a *Authority) Names() (names []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.server == nil {
		return nil
	}
	for _, n := range a.server.Leaf.DNSNames {
		if n != ServerName {
			names = append(names, n)
		}
	}
	for _, ip := range a.server.Leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// Certificate is the authority's own.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Fingerprint is what a code carries of the authority.
func (a *Authority) Fingerprint() [fingerprintLen]byte { return fingerprint(a.cert) }

func fingerprint(cert *x509.Certificate) [fingerprintLen]byte {
	sum := sha256.Sum256(cert.Raw)
	return [fingerprintLen]byte(sum[:fingerprintLen])
}

// Secret is derived from the authority's key for a purpose, and the same after
// every restart and renewal.
func (a *Authority) Secret(purpose string) ([]byte, error) {
	key, err := a.key.Bytes()
	if err != nil {
		return nil, err
	}
	return hkdf.Key(sha256.New, key, nil, purpose, sha256.Size)
}
