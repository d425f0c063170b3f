package trust

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Credentials are a board's identity, kept while its certificate is renewed. Their
// methods may be called concurrently.
type Credentials struct {
	opt     Options
	renewal sync.Mutex // held through one
	current atomic.Pointer[Identity]
}

// LoadCredentials loads the identity in opt.State; errors are those of Load.
func LoadCredentials(opt Options) (*Credentials, error) {
	id, err := Load(opt.State)
	if err != nil {
		return nil, err
	}
	c := &Credentials{opt: opt}
	c.current.Store(id)
	return c, nil
}

// OpenCredentials is LoadCredentials, and renews the certificate if it is due. A renewal
// that fails is an error only once the certificate has expired.
func OpenCredentials(ctx context.Context, opt Options) (*Credentials, error) {
	c, err := LoadCredentials(opt)
	if err != nil {
		return nil, err
	}
	if _, err := c.Refresh(ctx); err != nil && c.Identity().Expired(opt.now()) {
		return nil, fmt.Errorf("the certificate of this board has expired, or its clock is wrong, and renewal failed: %w", err)
	}
	return c, nil
}

// Identity is the newest.
func (c *Credentials) Identity() *Identity { return c.current.Load() }

// Time is the board's clock, and at least the last time known to have passed.
func (c *Credentials) Time() time.Time { return c.Identity().Time(c.opt.now()) }

// TLS is Identity.TLS for connections made now and after any renewal.
func (c *Credentials) TLS() *tls.Config {
	conf := c.Identity().TLS(c.opt.now)
	conf.Certificates, conf.Time = nil, c.Time
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair := c.Identity().pair()
		return &pair, nil
	}
	return conf
}

// Refresh renews the certificate if it is due, over a connection of its own; the
// errors are those of Renew. It is meant for whenever the cloud can be reached.
func (c *Credentials) Refresh(ctx context.Context) (renewed bool, err error) {
	c.renewal.Lock()
	defer c.renewal.Unlock()
	if !c.Identity().Due(c.opt.now()) {
		return false, nil
	}
	opt := c.opt
	opt.Disclosure = Unset
	r, err := Renew(ctx, opt)
	if err != nil {
		return false, err
	}
	c.current.Store(r.Identity)
	return true, nil
}
