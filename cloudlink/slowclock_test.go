package cloudlink_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"skerry/cloudlink"
)

const day = 24 * time.Hour

// youngTLS are certificates made an hour before now, which last a year.
func youngTLS(t *testing.T, now time.Time) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cloudlink.DevClient},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(365 * day), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{net.IPv4(192, 0, 2, 2)},
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	cert := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	return &tls.Config{Certificates: cert, ClientCAs: pool}, &tls.Config{Certificates: cert, RootCAs: pool}
}

// TestSlowClocks: a board whose clock is behind the cloud's certificate
// connects with a floor, is refused without, and its tickets work.
func TestSlowClocks(t *testing.T) {
	for name, slow := range map[string]time.Duration{"ten days": 10 * day, "seven months": 213 * day} {
		t.Run(name, func(t *testing.T) {
			inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
				w.serverTLS, w.clientTLS = youngTLS(t, time.Now())
				stop := w.serve()
				defer stop()
				behind := func() time.Time { return time.Now().Add(-slow) }
				_, err := cloudlink.Dial(t.Context(), cloudlink.Config{
					Addr: "192.0.2.2:2", TLS: w.clientTLS, Socket: w.board, Time: behind,
				})
				if !errors.Is(err, cloudlink.ErrUnauthorized) {
					t.Fatalf("without a floor: %v", err)
				}
				last := behind().Add(slow - time.Minute) // the database wrote this a minute ago
				w.clock = func() time.Time { return later(behind(), last) }
				w.visit()
				w.visitAtOnce(3, "the first answer")
				w.clock = nil // the network has set the clock
				w.visitAtOnce(3, "the first answer with the right time")
			})
		})
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
