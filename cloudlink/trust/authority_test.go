package trust_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"skerry/cloudlink/trust"
)

// clock is a settable time.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Unix())
	return c
}

func (c *clock) now() time.Time      { return time.Unix(c.at.Load(), 0) }
func (c *clock) add(d time.Duration) { c.at.Add(int64(d / time.Second)) }
func year(n float64) time.Duration   { return time.Duration(n * 365 * 24 * float64(time.Hour)) }
func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAuthorityIsMadeOnce(t *testing.T) {
	state := filepath.Join(t.TempDir(), "made", "here")
	if trust.Initialized(state) {
		t.Fatal("nothing was made yet")
	}
	if _, err := trust.OpenAuthority(state, time.Now); !errors.Is(err, trust.ErrNoAuthority) || !strings.Contains(err.Error(), "skerry cloud init") {
		t.Errorf("before: %v", err)
	}
	var wg sync.WaitGroup
	var made atomic.Int32
	for range 4 {
		wg.Go(func() {
			_, err := trust.CreateAuthority(state, []string{"cloud.example.org", "192.0.2.1"}, time.Now)
			if err == nil {
				made.Add(1)
			} else if !errors.Is(err, trust.ErrExists) || !strings.Contains(err.Error(), "--renew") {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 || !trust.Initialized(state) {
		t.Errorf("made %d times", made.Load())
	}
	a, err := trust.OpenAuthority(state, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if n := a.Names(); !slices.Equal(n, []string{"cloud.example.org", "192.0.2.1"}) {
		t.Errorf("names %v", n)
	}
	filepath.Walk(state, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
		if strings.HasPrefix(filepath.Base(path), ".") {
			t.Errorf("%s was left behind", path)
		}
		return nil
	})
}

func TestAuthorityDamaged(t *testing.T) {
	state := t.TempDir()
	if _, err := trust.CreateAuthority(state, nil, time.Now); err != nil {
		t.Fatal(err)
	}
	for file, advice := range map[string]string{"ca.pem": "restore it", "server.pem": "delete the file"} {
		path := filepath.Join(state, "pki", file)
		good := read(t, path)
		for _, b := range [][]byte{nil, good[:len(good)/3], []byte("not pem")} {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := trust.OpenAuthority(state, time.Now); err == nil || !strings.Contains(err.Error(), advice) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s of %d bytes: %v", file, len(b), err)
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(state, "pki", "server.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.OpenAuthority(state, time.Now); err != nil {
		t.Errorf("without a server certificate: %v", err)
	}
}

func TestAuthorityUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.CreateAuthority(filepath.Join(file, "dir"), nil, time.Now); err == nil || !strings.Contains(err.Error(), "state directory ") {
		t.Error(err)
	}
}

// The server certificate is made anew when a third of its life is left, when
// the cloud starts and while it runs; its names and the authority stay.
func TestServerCertificateRenews(t *testing.T) {
	state, c := t.TempDir(), newClock()
	a, err := trust.CreateAuthority(state, []string{"192.0.2.1"}, c.now)
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		p, err := a.Server()
		if err != nil {
			t.Fatal(err)
		}
		return p.Leaf.SerialNumber.String()
	}
	reopen := func() {
		if a, err = trust.OpenAuthority(state, c.now); err != nil {
			t.Fatal(err)
		}
	}
	first, ca := serial(), a.Fingerprint()
	c.add(year(0.6))
	if reopen(); serial() != first {
		t.Error("renewed too early")
	}
	c.add(year(0.1))
	second := serial()
	if second == first {
		t.Error("not renewed while running")
	}
	c.add(year(3))
	reopen()
	third := serial()
	if third == second || a.Fingerprint() != ca || !slices.Equal(a.Names(), []string{"192.0.2.1"}) {
		t.Errorf("after years: serial %s, names %v", third, a.Names())
	}
	if err := a.Renew([]string{"other.example"}); err != nil || serial() == third {
		t.Errorf("by hand: %v", err)
	}
	before := read(t, filepath.Join(state, "pki", "server.pem"))
	if reopen(); !bytes.Equal(before, read(t, filepath.Join(state, "pki", "server.pem"))) || !slices.Equal(a.Names(), []string{"other.example"}) {
		t.Errorf("not kept: %v", a.Names())
	}
}

// Nobody who holds a board's certificate can pass for the cloud or for an
// authority.
func TestUses(t *testing.T) {
	cloud := newCloud(t)
	id := cloud.enroll(t, "pi", "").Identity
	server, err := cloud.registrar.Authority.Server()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(server.Leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) ||
		!slices.Equal(id.Certificate.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) ||
		id.Certificate.IsCA || server.Leaf.IsCA || !cloud.registrar.Authority.Certificate().MaxPathLenZero {
		t.Error("a certificate is good for more than it should be")
	}
}
