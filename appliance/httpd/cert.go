package httpd

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is read from files again when they change.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu    sync.Mutex // guards all following fields
	stamp [2]time.Time
	cert  *tls.Certificate
}

func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	stamp, err := c.stat()
	if err != nil {
		return nil, err
	}
	return c, c.load(stamp)
}

func (c *certificate) stat() (stamp [2]time.Time, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp, fmt.Errorf("the certificate of [tls]: %w", err)
		}
		stamp[i] = info.ModTime()
	}
	return stamp, nil
}

func (c *certificate) load(stamp [2]time.Time) error {
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	c.stamp = stamp // a bad pair is not tried, and complained of, at every connection
	if err != nil {
		return fmt.Errorf("the certificate of [tls], %s with %s: %w", c.certFile, c.keyFile, err)
	}
	c.cert = &cert
	return nil
}

// get is for tls.Config. While new files do not fit each other the old pair serves:
// one is often written before the other.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp, err := c.stat()
	if err == nil && stamp != c.stamp {
		err = c.load(stamp)
	}
	if err != nil {
		c.log.Warn("the new certificate cannot be used; the previous one stays in use", "err", err)
	}
	return c.cert, nil
}
