package cloudnode

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"skerry/cloudlink/trust"
)

// What workers and etcd know each other by, below fleet/ of the state directory where it was
// made. Each directory is whole for who gets it: nobody else's key is in it.
const (
	fleetDir    = "fleet"
	fleetEtcd   = "etcd"   // directory of what each etcd needs
	fleetShared = "worker" // directory of what each worker needs
	fleetCA     = "ca.crt"
	fleetWorker = "worker.crt"
	fleetKey    = "worker.key"
	fleetURLs   = "fleet.env" // the URLs of etcd, for a service
)

// expiring is how long before a certificate's end an operator is told of it.
const expiring = 60 * 24 * time.Hour

// files is the directory of this worker's files.
func (o *WorkerOptions) files(state string) string {
	return cmp.Or(o.Files, filepath.Join(state, fleetDir, fleetShared))
}

// secure says whether an etcd is reached by TLS.
func (o *WorkerOptions) secure() bool {
	return slices.ContainsFunc(o.Fleet, func(e string) bool {
		u, err := url.Parse(e)
		return err == nil && u.Scheme == "https"
	})
}

// adopt puts the cloud's authority where the state directory has none yet.
func (o *WorkerOptions) adopt(state string) error {
	if len(o.Fleet) == 0 {
		return nil
	}
	err := trust.AdoptAuthority(state, filepath.Join(o.files(state), trust.AuthorityName))
	switch {
	case errors.Is(err, fs.ErrNotExist) && trust.Initialized(state):
		return nil // it was put there by hand, or made there
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--fleet: this worker has not got the cloud's authority (%w): skerry cloud init --fleet makes it once for all workers, in fleet/%s of its state directory; give a copy of that directory by --fleet-files", err, fleetShared)
	case err != nil:
		return fmt.Errorf("--fleet: %w", err)
	}
	return nil
}

// tls is how a worker and etcd know each other, nil for http. The worker's certificate is read
// again for each connection, so that a new one needs no restart.
func (o *WorkerOptions) tls(state string) (*tls.Config, error) {
	if !o.secure() {
		return nil, nil
	}
	dir := o.files(state)
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, fleetWorker), filepath.Join(dir, fleetKey))
		return &pair, err
	}
	if _, err := load(); err != nil {
		return nil, missing(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, fleetCA))
	if err != nil {
		return nil, missing(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("--fleet: no certificate in %s", filepath.Join(dir, fleetCA))
	}
	return &tls.Config{
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() },
		RootCAs:              pool, MinVersion: tls.VersionTLS13,
	}, nil
}

// expires is when this worker's certificate for etcd ends, zero where there is none.
func (o *WorkerOptions) expires(state string) time.Time {
	if !o.secure() {
		return time.Time{}
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(o.files(state), fleetWorker), filepath.Join(o.files(state), fleetKey))
	if err != nil {
		return time.Time{}
	}
	return pair.Leaf.NotAfter
}

// ending says that a certificate for etcd ends soon, "" while it does not.
func ending(at, now time.Time) string {
	if at.IsZero() || at.Sub(now) > expiring {
		return ""
	}
	return fmt.Sprintf("the certificate for etcd ends on %s: skerry cloud init --fleet makes a new one, in fleet/%s", at.UTC().Format(time.DateOnly), fleetShared)
}

func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--fleet: %w (an https etcd needs %s, %s and %s, which skerry cloud init --fleet makes in fleet/%s: give a copy of that directory by --fleet-files)", err, fleetCA, fleetWorker, fleetKey, fleetShared)
	}
	return fmt.Errorf("--fleet: %w", err)
}
