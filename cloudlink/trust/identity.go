package trust

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Names within the state directory of a board. The key lies in a file of its
// own, which the enrolment names, so that writing the enrolment is the one step
// that changes both.
const (
	enrolmentFile = "enrolment.json"
	pendingKey    = "device-new.key"
)

func keyFile(hash [32]byte) string { return fmt.Sprintf("device-%x.key", hash[:6]) }

// enrolment is the file.
type enrolment struct {
	Device      string     `json:"device"`
	Disclosure  Disclosure `json:"may"`
	Clouds      []string   `json:"clouds"` // host:port, the first is asked first
	Key         string     `json:"key"`    // file beside this one
	Certificate string     `json:"certificate"`
	Authority   string     `json:"authority"`
	Clock       time.Time  `json:"clock"` // the cloud's, at the last reply
}

// Identity is who a board is to its cloud.
type Identity struct {
	Device     string
	Disclosure Disclosure
	Clouds     []string // host:port, the first is asked first
	// Clock is what the cloud's clock showed last: it is later now, whatever
	// this board's clock says.
	Clock       time.Time
	Certificate *x509.Certificate
	Authority   *x509.Certificate

	dir string
	key *ecdsa.PrivateKey
}

// Enrolled reports whether the board whose state directory this is has an
// identity, readable or not.
func Enrolled(state string) bool {
	_, err := os.Stat(filepath.Join(state, enrolmentFile))
	return err == nil
}

// Load reads the identity in the directory state. An error wraps ErrNotEnrolled
// where there is none.
func Load(state string) (*Identity, error) {
	path := filepath.Join(state, enrolmentFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse(ErrNotEnrolled, "run `skerry enroll CODE` with a code of the cloud (`skerry cloud invite` there makes one)")
	}
	if err != nil {
		return nil, fmt.Errorf("enrolment: %w", err)
	}
	id, err := parse(state, b)
	if err != nil {
		return nil, fmt.Errorf("enrolment %s: %w (`skerry enroll` with a new code mends it)", path, err)
	}
	return id, nil
}

func parse(state string, b []byte) (*Identity, error) {
	var e enrolment
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, err
	}
	id := &Identity{Device: e.Device, Disclosure: e.Disclosure, Clouds: e.Clouds, Clock: e.Clock, dir: state}
	var err error
	if id.Certificate, err = parseCertPEM([]byte(e.Certificate)); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if id.Authority, err = parseCertPEM([]byte(e.Authority)); err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	if id.key, err = readKey(filepath.Join(state, filepath.Base(e.Key))); err != nil {
		return nil, err
	}
	return id, id.check()
}

// check finds parts that do not belong together.
func (id *Identity) check() error {
	if !id.key.PublicKey.Equal(id.Certificate.PublicKey) {
		return errors.New("key and certificate do not belong together")
	}
	if err := signedBy(id.Certificate, id.Authority, x509.ExtKeyUsageClientAuth); err != nil {
		return fmt.Errorf("certificate and authority do not belong together: %w", err)
	}
	if id.Device != id.Certificate.Subject.CommonName {
		return fmt.Errorf("the certificate is of device %q, not %q", id.Certificate.Subject.CommonName, id.Device)
	}
	if _, err := ParseDisclosure(string(id.Disclosure)); err != nil || id.Disclosure == Unset {
		return fmt.Errorf("what the cloud may see is %q", id.Disclosure)
	}
	return nil
}

// save writes the enrolment; its key is there already.
func (id *Identity) save() error {
	b, err := json.MarshalIndent(enrolment{
		Device: id.Device, Disclosure: id.Disclosure, Clouds: id.Clouds, Key: keyFile(KeyHash(id.Certificate)), Clock: id.Clock.UTC(),
		Certificate: string(certPEM(id.Certificate)), Authority: string(certPEM(id.Authority)),
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(id.dir, enrolmentFile), append(b, '\n')); err != nil {
		return unwritable(id.dir, err)
	}
	return nil
}

// Time is now, or where a clock without a battery lags behind, the latest time
// that is known to have passed. Certificates are checked against it.
func (id *Identity) Time(now time.Time) time.Time {
	for _, floor := range []time.Time{id.Clock, id.Certificate.NotBefore, id.Authority.NotBefore} {
		if now.Before(floor) {
			now = floor
		}
	}
	return now
}

// TLS is the configuration of a board for its cloud.
func (id *Identity) TLS(now func() time.Time) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(id.Authority)
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: pool, ServerName: ServerName,
		Certificates: []tls.Certificate{id.pair()},
		Time:         func() time.Time { return id.Time(now()) },
	}
}

func (id *Identity) pair() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{id.Certificate.Raw}, PrivateKey: id.key, Leaf: id.Certificate}
}

// Due reports whether the certificate should be renewed.
func (id *Identity) Due(now time.Time) bool { return Due(id.Certificate, id.Time(now)) }

// Expired reports whether the cloud takes the certificate no longer; renewal is
// still possible.
func (id *Identity) Expired(now time.Time) bool { return id.Time(now).After(id.Certificate.NotAfter) }
