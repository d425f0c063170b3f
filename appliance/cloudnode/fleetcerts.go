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

	"skerry/cloudlink/trust"
)

const (
	fleetCAKey  = "ca.key"
	fleetCALife = 20 * 365 * 24 * time.Hour
	// fleetLife is that of the certificates of etcd's members and of the workers.
	fleetLife = 5 * 365 * 24 * time.Hour
)

// MakeFleetFiles writes what etcd's members on hosts and the workers that share them need, in
// fleet/ of a state directory that has the cloud's authority, and returns that directory: etcd/
// for the members, worker/ for the workers. The certificates are of an authority of their own: one
// that certifies boards must let none of them into etcd. It is kept when they are made anew.
func MakeFleetFiles(state string, hosts []string, now time.Time) (dir string, err error) {
	dir = filepath.Join(state, fleetDir)
	members, workers := filepath.Join(dir, fleetEtcd), filepath.Join(dir, fleetShared)
	for _, d := range []string{members, workers} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return dir, err
		}
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
		if err := fleetLeaf(members, h, h, both, ca, caKey, now); err != nil {
			return dir, err
		}
		if err := writeText(filepath.Join(members, h+".env"), etcdEnv(h, hosts)); err != nil {
			return dir, err
		}
	}
	if err := fleetLeaf(workers, strings.TrimSuffix(fleetWorker, ".crt"), "", both[1:], ca, caKey, now); err != nil {
		return dir, err
	}
	if len(hosts) > 0 {
		if err := writeText(filepath.Join(workers, fleetURLs), "SKERRY_FLEET="+strings.Join(EtcdURLs(hosts), ",")+"\n"); err != nil {
			return dir, err
		}
	}
	for _, d := range []string{members, workers} {
		if err := renameio.WriteFile(filepath.Join(d, fleetCA), pemOf(ca), 0o644); err != nil {
			return dir, err
		}
	}
	return dir, trust.WriteAuthority(state, filepath.Join(workers, trust.AuthorityName))
}

// The ports of an etcd, for clients and for the other members.
const (
	etcdClients = "2379"
	etcdPeers   = "2380"
)

// EtcdURLs are where workers reach the members on hosts.
func EtcdURLs(hosts []string) (urls []string) {
	for _, h := range hosts {
		urls = append(urls, "https://"+net.JoinHostPort(h, etcdClients))
	}
	return urls
}

// etcdEnv are the settings of the member on host, as etcd reads them from its environment. Its
// files are in /etc/etcd.
func etcdEnv(host string, hosts []string) string {
	var cluster []string
	for _, h := range hosts {
		cluster = append(cluster, h+"=https://"+net.JoinHostPort(h, etcdPeers))
	}
	var b strings.Builder
	for _, v := range [][2]string{
		{"NAME", host},
		{"INITIAL_CLUSTER", strings.Join(cluster, ",")},
		{"INITIAL_CLUSTER_TOKEN", "skerry"},
		{"INITIAL_ADVERTISE_PEER_URLS", "https://" + net.JoinHostPort(host, etcdPeers)},
		{"LISTEN_PEER_URLS", "https://0.0.0.0:" + etcdPeers},
		{"ADVERTISE_CLIENT_URLS", "https://" + net.JoinHostPort(host, etcdClients)},
		{"LISTEN_CLIENT_URLS", "https://0.0.0.0:" + etcdClients},
		{"CLIENT_CERT_AUTH", "true"},
		{"TRUSTED_CA_FILE", "/etc/etcd/" + fleetCA},
		{"CERT_FILE", "/etc/etcd/" + host + ".crt"},
		{"KEY_FILE", "/etc/etcd/" + host + ".key"},
		{"PEER_CLIENT_CERT_AUTH", "true"},
		{"PEER_TRUSTED_CA_FILE", "/etc/etcd/" + fleetCA},
		{"PEER_CERT_FILE", "/etc/etcd/" + host + ".crt"},
		{"PEER_KEY_FILE", "/etc/etcd/" + host + ".key"},
		// What workers tell each other every few seconds would be kept for ever.
		{"AUTO_COMPACTION_MODE", "periodic"},
		{"AUTO_COMPACTION_RETENTION", "1h"},
	} {
		fmt.Fprintf(&b, "ETCD_%s=%s\n", v[0], v[1])
	}
	return b.String()
}

func writeText(path, text string) error { return renameio.WriteFile(path, []byte(text), 0o644) }

// FleetSteps says what was made in dir for the members on hosts, and what to do with it.
func FleetSteps(dir string, hosts []string) string {
	if len(hosts) == 0 {
		return fmt.Sprintf("a new certificate for the workers is in %s, good for 5 years: copy it to each of them, which need not be restarted", filepath.Join(dir, fleetShared))
	}
	return fmt.Sprintf(`certificates for etcd and the workers are in %[1]s, good for 5 years:
  etcd/HOST.*  for the etcd on HOST, with etcd/ca.crt: certificate, key and settings, which look
               for them in /etc/etcd
  worker/      for each worker, whole and alike; it has the cloud's authority, so keep it private
  ca.key       makes more of them: nobody else needs it
now start each etcd with the settings of its HOST.env, and each worker with its copy of worker/:
  skerry cloud --fleet %[2]s --fleet-files DIR --advertise HOST:7537
with --advertise where boards reach that worker; then, at any one of them,
  skerry cloud invite --name BOARD
Services of systemd, a compose file and a manifest for Kubernetes: build/fleet/README.md, or
/usr/share/skerry-cloud/fleet of the package`, dir, strings.Join(EtcdURLs(hosts), ","))
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

func pemOf(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
