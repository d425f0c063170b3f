package trust

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Desk is where boards are invited, enrolled, renewed and revoked: the cloud's
// side. Its methods may be called concurrently.
type Desk struct {
	Authority *Authority
	Book      Book
	Now       func() time.Time
	Log       *slog.Logger
	// Dropped is called once a device has been revoked or its name given to
	// another board: its connections must end. It may be nil.
	Dropped func(device, why string)

	mu sync.Mutex // one enrolment at a time, so that no two take one name
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
func (d *Desk) Invite(name string, may May, life time.Duration, addrs []string) (Invitation, error) {
	if name != "" {
		if err := CheckName(name); err != nil {
			return Invitation{}, err
		}
	}
	now := d.Now()
	c := Code{Authority: d.Authority.Fingerprint(), May: may, Addrs: addrs, Expires: now.Add(life).Truncate(time.Minute)}
	if err := c.check(); err != nil {
		return Invitation{}, err
	}
	if life < time.Minute || life > 365*24*time.Hour {
		return Invitation{}, fmt.Errorf("a code cannot live for %s: choose 1m to 8760h", life)
	}
	rand.Read(c.Secret[:])
	if err := d.Book.AddInvite(Invite{Hash: c.Hash(), Name: name, May: may, Made: now, Expires: c.Expires}); err != nil {
		return Invitation{}, err
	}
	inv := Invitation{Name: name, Code: c.String(), Expires: c.Expires}
	if name != "" {
		_, err := d.Book.Device(name)
		inv.Replaces = err == nil
	}
	return inv, nil
}

// Revoke bars a device, at once and until it is enrolled anew. An error wraps
// ErrUnknown.
func (d *Desk) Revoke(name string) error {
	if err := d.Book.RevokeDevice(name); err != nil {
		return err
	}
	d.Log.Info("device revoked", "device", name)
	d.dropped(name, RevokedText(name))
	return nil
}

// RevokedText tells a revoked board what to do.
func RevokedText(name string) string {
	return "device " + name + " was revoked: have the cloud's operator run `skerry cloud invite --name " + name + "`, then `skerry enroll CODE` here"
}

func (d *Desk) dropped(name, why string) {
	if d.Dropped != nil {
		d.Dropped(name, why)
	}
}

// handle answers one request. peer is the certificate the board showed, nil
// without one; the authority has not been checked yet.
func (d *Desk) handle(q *request, peer *x509.Certificate) (*reply, error) {
	switch q.Op {
	case opEnroll:
		return d.enroll(q)
	case opRenew:
		return d.renew(q, peer)
	case opTime:
		return &reply{}, nil
	}
	return nil, refuse(ErrProtocol, "request %q is not known here: update the cloud", q.Op)
}
