package httpd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate makes a pair of files whose certificate has a serial number, and
// which are newer than those of before.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "skerry"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(time.Duration(serial) * time.Second)
		if err := os.Chtimes(name, when, when); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, certFile, keyFile, 1)
	keys := openKeys(t)
	secret := newKey(t, keys, "laptop")
	// Of two listeners the second is taken for the LAN's.
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	second, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, Options{Inherited: []net.Listener{first, second}, CertFile: certFile, KeyFile: keyFile, Keys: keys,
		Loopback: func(a net.Addr) bool { return a == first.Addr() || a.String() == first.Addr().String() }}, whoami)
	get := func() (serial int64, proto string, status int, cookies []*http.Cookie) {
		t.Helper()
		tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		defer tr.CloseIdleConnections()
		r, err := http.NewRequest("POST", s.URLs()[1]+"login", strings.NewReader("key="+secret))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.TLS.PeerCertificates[0].SerialNumber.Int64(), resp.Proto, resp.StatusCode, resp.Cookies()
	}
	serial, proto, status, cookies := get()
	if serial != 1 || proto != "HTTP/2.0" || status != 303 || len(cookies) != 1 || !cookies[0].Secure {
		t.Errorf("serial %d, %s, %d, cookies %v", serial, proto, status, cookies)
	}
	if resp, text := ask(t, "GET", s.url("/"), ""); text != "loopback local 0" {
		t.Errorf("loopback without TLS: %s %s", resp.Status, text)
	}
	writeCertificate(t, certFile, keyFile, 2)
	if serial, _, _, _ := get(); serial != 2 {
		t.Errorf("after new files the serial is %d", serial)
	}
	// A certificate whose key has not been written yet.
	other := filepath.Join(dir, "other")
	writeCertificate(t, certFile, other, 3)
	if serial, _, _, _ := get(); serial != 2 {
		t.Errorf("with half a pair the serial is %d", serial)
	}
	writeCertificate(t, certFile, keyFile, 4)
	if serial, _, _, _ := get(); serial != 4 {
		t.Errorf("once it is whole the serial is %d", serial)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestTLSFilesMissing(t *testing.T) {
	_, err := Listen(Options{Listen: []string{"127.0.0.1:0"}, CertFile: "/nowhere/c.pem", KeyFile: "/nowhere/k.pem", Log: quiet})
	if err == nil || !strings.Contains(err.Error(), "[tls]") || !strings.Contains(err.Error(), "/nowhere/c.pem") {
		t.Errorf("%v", err)
	}
}
