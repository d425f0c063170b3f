package cloudnode

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

const (
	fleetCAKey  = "ca.key"
	fleetCALife = 20 * 365 * 24 * time.Hour
	// fleetLife is that of the certificates of etcd's members and of the workers.
	fleetLife = 5 * 365 * 24 * time.Hour
)

// MakeFleetCerts writes certificates for etcd's members on hosts and for the workers that share
// them, in fleet/ of a state directory, and returns that directory. They are of an authority of
// their own: one that certifies boards must let none of them into etcd. It is kept when the
// certificates are made anew.
func MakeFleetCerts(state string, hosts []string, now time.Time) (dir string, err error) {
	dir = filepath.Join(state, fleetDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return dir, err
	}
	for _, h := range hosts {
		if h == "" || net.ParseIP(h) == nil && strings.ContainsAny(h, ":/ _") {
			return dir, fmt.Errorf("--fleet %q: give a host name or an IP address of etcd, without a port", h)
		}
	}
	ca, caKey, err := fleetAuthority(dir, now)
	if err != nil {
		return dir, err
	}
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} // members dial each other
	for _, h := range hosts {
		if err := fleetLeaf(dir, "etcd-"+h, h, both, ca, caKey, now); err != nil {
			return dir, err
		}
	}
	return dir, fleetLeaf(dir, strings.TrimSuffix(fleetWorker, ".crt"), "", both[1:], ca, caKey, now)
}

// fleetAuthority reads the authority in dir, or makes it.
func fleetAuthority(dir string, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certPath, keyPath := filepath.Join(dir, fleetCA), filepath.Join(dir, fleetCAKey)
	certPEM, err := os.ReadFile(certPath)
	keyPEM, keyErr := os.ReadFile(keyPath)
	if errors.Is(err, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		t, err := fleetTemplate("Skerry fleet authority", now, fleetCALife)
		if err != nil {
			return nil, nil, err
		}
		t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero, t.KeyUsage = true, true, true, x509.KeyUsageCertSign
		der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
		if err != nil {
			return nil, nil, err
		}
		if err := writePair(keyPath, certPath, key, der); err != nil {
			return nil, nil, err
		}
		cert, err := x509.ParseCertificate(der)
		return cert, key, err
	}
	if err := errors.Join(err, keyErr); err != nil {
		return nil, nil, fmt.Errorf("etcd's authority: %w (run this where it was made first)", err)
	}
	cert, key, err := parsePair(certPEM, keyPEM)
	if err != nil {
		return nil, nil, fmt.Errorf("etcd's authority in %s: %w", dir, err)
	}
	return cert, key, nil
}

var errPair = errors.New("no certificate with its key")

func parsePair(certPEM, keyPEM []byte) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	c, _ := pem.Decode(certPEM)
	k, _ := pem.Decode(keyPEM)
	if c == nil || k == nil {
		return nil, nil, errPair
	}
	cert, err := x509.ParseCertificate(c.Bytes)
	if err != nil {
		return nil, nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(k.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, errPair
	}
	return cert, key, nil
}

func fleetTemplate(name string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life),
	}, err
}

// fleetLeaf makes a certificate, for a host where one is given.
func fleetLeaf(dir, name, host string, uses []x509.ExtKeyUsage, ca *x509.Certificate, caKey *ecdsa.PrivateKey, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t, err := fleetTemplate("skerry "+name, now, fleetLife)
	if err != nil {
		return err
	}
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, uses
	if ip := net.ParseIP(host); ip != nil {
		t.IPAddresses = []net.IP{ip}
	} else if host != "" {
		t.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	return writePair(filepath.Join(dir, name+".key"), filepath.Join(dir, name+".crt"), key, der)
}

func writePair(keyPath, certPath string, key *ecdsa.PrivateKey, der []byte) error {
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(keyPath, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}), 0o600); err != nil {
		return err
	}
	return renameio.WriteFile(certPath, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}
