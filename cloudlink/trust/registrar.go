package trust

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"skerry/cloudlink/internal/loglimit"
)

// Registrar is where boards are invited, enrolled, renewed and revoked: the cloud's
// side. Its methods may be called concurrently.
type Registrar struct {
	Authority *Authority
	Store     DeviceStore
	Now       func() time.Time
	Log       *slog.Logger
	// Dropped is called once a device has been revoked or its name given to
	// another board: its connections must end. It may be nil.
	Dropped func(device, why string)

	mu sync.Mutex // one enrolment at a time, so that no two take one name

	refusals loglimit.Limiter // lines about whoever is refused
	lines    lines            // about devices, each
}

// lines bound what is logged of each device.
type lines struct {
	mu sync.Mutex // guards all following
	of map[string]*loglimit.Limiter
}

// about is where to write what a device does that is known here.
func (r *Registrar) about(device string) *slog.Logger {
	r.lines.mu.Lock()
	defer r.lines.mu.Unlock()
	l := r.lines.of[device]
	if l == nil {
		l = new(loglimit.Limiter)
		if r.lines.of == nil {
			r.lines.of = map[string]*loglimit.Limiter{}
		}
		r.lines.of[device] = l
	}
	return l.Logger(r.Log).With("device", device)
}

// Invitation is a code and what it is for.
type Invitation struct {
	Name    string    `json:"name,omitempty"`
	Code    string    `json:"code"`
	Expires time.Time `json:"expires"`
	// Replaces says that a device of that name is enrolled already.
	Replaces bool `json:"replaces,omitempty"`
}

// Invite makes a code that lives for life, for a device called name (empty: as
// it calls itself) that may send at most may, and reaches the cloud at addrs.
func (r *Registrar) Invite(name string, may Disclosure, life time.Duration, addrs []string) (Invitation, error) {
	if name != "" {
		if err := CheckName(name); err != nil {
			return Invitation{}, err
		}
	}
	now := r.Now()
	c := Code{Authority: r.Authority.Fingerprint(), Disclosure: may, Addrs: addrs, Expires: now.Add(life).Truncate(time.Minute)}
	if err := c.check(); err != nil {
		return Invitation{}, err
	}
	if life < time.Minute || life > 365*24*time.Hour {
		return Invitation{}, fmt.Errorf("a code cannot live for %s: choose 1m to 8760h", life)
	}
	rand.Read(c.Secret[:])
	if err := r.Store.AddInvite(Invite{Hash: c.Hash(), Name: name, Disclosure: may, Made: now, Expires: c.Expires}); err != nil {
		return Invitation{}, err
	}
	inv := Invitation{Name: name, Code: c.String(), Expires: c.Expires}
	if name != "" {
		_, err := r.Store.Device(name)
		inv.Replaces = err == nil
	}
	return inv, nil
}

// Revoke bars a device, at once and until it is enrolled anew. An error wraps
// ErrUnknown.
func (r *Registrar) Revoke(name string) error {
	if err := r.Store.RevokeDevice(name); err != nil {
		return err
	}
	r.Log.Info("device revoked", "device", name)
	r.dropped(name, RevokedText(name))
	return nil
}

// RevokedText tells a revoked board what to do.
func RevokedText(name string) string {
	return "device " + name + " was revoked: have the cloud's operator run `skerry cloud invite --name " + name + "`, then `skerry enroll CODE` here"
}

func (r *Registrar) dropped(name, why string) {
	if r.Dropped != nil {
		r.Dropped(name, why)
	}
}

// handle answers one request. peer is the certificate the board showed, nil
// without one; the authority has not been checked yet.
func (r *Registrar) handle(q *request, peer *x509.Certificate) (*reply, error) {
	switch q.Op {
	case opEnroll:
		return r.enroll(q)
	case opRenew:
		return r.renew(q, peer)
	case opTime:
		return &reply{}, nil
	}
	return nil, refuse(ErrProtocol, "request %q is not known here: update the cloud", q.Op)
}
