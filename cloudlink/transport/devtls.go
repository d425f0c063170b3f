package transport

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
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
	"time"
)

// devFile holds a development CA's certificate and a server's and a client's
// certificate and key, in that order. The CA's key is thrown away.
const devFile = "dev-tls.pem"

// Common names of the development certificates.
const (
	DevServer = "skerry-dev-cloud"
	DevClient = "skerry-dev-board"
)

// devValid spans clocks that were never set: a board without a battery clock
// may start years behind.
var devValid = [2]time.Time{
	time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
	time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
}

// ErrNotLoopback is returned by ListenDev.
var ErrNotLoopback = errors.New("development certificates serve only loopback")

// DevTLS returns TLS configurations of a cloud and a board that trust each
// other, for localhost, 127.0.0.1 and ::1. Their certificates are made in dir
// on first use; processes that race for it agree on one set. An error names
// the file.
func DevTLS(dir string) (server, client *tls.Config, err error) {
	path := filepath.Join(dir, devFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = createDev(dir, path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("development certificates: %w", err)
	}
	server, client, err = parseDev(b)
	if err != nil {
		return nil, nil, fmt.Errorf("development certificates %s: %w (delete the file, it is made anew)", path, err)
	}
	return server, client, nil
}

// ListenDev listens with the development certificates in dir. It returns
// ErrNotLoopback for any address that other machines can reach.
func ListenDev(addr, dir string) (Listener, error) {
	ua, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	if !ua.IP.IsLoopback() {
		return nil, fmt.Errorf("listen on %s: %w (listen on 127.0.0.1, or give the cloud certificates of its own)", addr, ErrNotLoopback)
	}
	server, _, err := DevTLS(dir)
	if err != nil {
		return nil, err
	}
	return Listen(ua.String(), server)
}

// createDev writes a set under a temporary name and links it into place: the
// link of whoever is first stands, and everyone reads that one.
func createDev(dir, path string) ([]byte, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	b, err := makeDev()
	if err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(dir, "."+devFile+"-*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return nil, err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}

func makeDev() ([]byte, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := devTemplate(1, "skerry development CA")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	for i, leaf := range []*x509.Certificate{devTemplate(2, DevServer), devTemplate(3, DevClient)} {
		leaf.KeyUsage = x509.KeyUsageDigitalSignature
		leaf.ExtKeyUsage = []x509.ExtKeyUsage{[...]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}[i]}
		leaf.DNSNames = []string{"localhost"}
		leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
		if err != nil {
			return nil, err
		}
		keyDER, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der})
		pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	}
	return out.Bytes(), nil
}

func devTemplate(serial int64, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: devValid[0], NotAfter: devValid[1],
	}
}

// parseDev reads the blocks in the order makeDev wrote them.
func parseDev(b []byte) (server, client *tls.Config, err error) {
	var blocks [5][]byte
	for i := range blocks {
		block, rest := pem.Decode(b)
		if block == nil {
			return nil, nil, fmt.Errorf("%d of %d PEM blocks", i, len(blocks))
		}
		blocks[i], b = pem.EncodeToMemory(block), rest
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(blocks[0]) {
		return nil, nil, errors.New("no CA certificate")
	}
	serverCert, err := tls.X509KeyPair(blocks[1], blocks[2])
	if err != nil {
		return nil, nil, err
	}
	clientCert, err := tls.X509KeyPair(blocks[3], blocks[4])
	if err != nil {
		return nil, nil, err
	}
	server = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{serverCert},
		ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	client = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{clientCert},
		RootCAs: pool, ServerName: "localhost",
	}
	return server, client, nil
}
