package trust

import (
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"
)

// Holder keeps a board's identity while certificates are renewed under it. Its
// methods may be called concurrently.
type Holder struct {
	opt     Options
	renewal sync.Mutex // held through one
	current atomic.Pointer[Identity]
}

// Hold loads the identity in opt.State; errors are those of Load.
func Hold(opt Options) (*Holder, error) {
	id, err := Load(opt.State)
	if err != nil {
		return nil, err
	}
	h := &Holder{opt: opt}
	h.current.Store(id)
	return h, nil
}

// Identity is the newest.
func (h *Holder) Identity() *Identity { return h.current.Load() }

// Time is the board's clock, and at least the last time known to have passed.
func (h *Holder) Time() time.Time { return h.Identity().Time(h.opt.now()) }

// TLS is Identity.TLS for connections made now and after any renewal.
func (h *Holder) TLS() *tls.Config {
	conf := h.Identity().TLS(h.opt.now)
	conf.Certificates, conf.Time = nil, h.Time
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair := h.Identity().pair()
		return &pair, nil
	}
	return conf
}

// Refresh renews the certificate if it is due, over a connection of its own; the
// errors are those of Renew. It is meant for whenever the cloud can be reached.
func (h *Holder) Refresh(ctx context.Context) (renewed bool, err error) {
	h.renewal.Lock()
	defer h.renewal.Unlock()
	if !h.Identity().Due(h.opt.now()) {
		return false, nil
	}
	opt := h.opt
	opt.May = Unset
	r, err := Renew(ctx, opt)
	if err != nil {
		return false, err
	}
	h.current.Store(r.Identity)
	return true, nil
}
