package trust

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Options of Enroll, Renew and CloudTime. State and Dial are needed.
type Options struct {
	State string // directory of the board
	Dial  Dial
	Now   func() time.Time // default time.Now
	// Clouds is where to ask, host:port; default: what the code or the
	// enrolment says.
	Clouds     []string
	Disclosure Disclosure // what to send at most; Unset: what the code or the enrolment says
	Name       string     // what the board calls itself; the code's name goes before it
	Software   string     // version, for the cloud's log
}

// Enrolment is an identity and how it came.
type Enrolment struct {
	*Identity
	// Behind is by how much the cloud's clock is ahead of this board's; it is
	// negative where it is behind.
	Behind time.Duration
}

// Enroll makes a key, has the cloud that made the code certify it, and writes
// both into the state directory, in place of an earlier enrolment. The board's
// clock does not matter. Errors wrap ErrExpired, ErrUsed, ErrUnknownCode,
// ErrWrongCloud, ErrUnreachable or ErrNotAllowed, or are of the state directory.
func Enroll(ctx context.Context, code Code, opt Options) (Enrolment, error) {
	may := cmp.Or(opt.Disclosure, code.Disclosure)
	if may == Unset {
		return Enrolment{}, refuse(ErrNotAllowed, "nobody has said what the cloud may see: give --may text, hidden or nothing")
	}
	if !may.Within(code.Disclosure) {
		return Enrolment{}, refuse(ErrNotAllowed, "this code lets the board send %s at most, not %s (ask for another code, or give --may %s)", code.Disclosure, may, code.Disclosure)
	}
	key, err := newKey(opt.State)
	if err != nil {
		return Enrolment{}, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return Enrolment{}, err
	}
	addrs := code.Addrs
	if len(opt.Clouds) > 0 {
		addrs = opt.Clouds
	}
	r, err := exchange(ctx, opt.Dial, addrs, pinned(code.Authority), &request{
		Op: opEnroll, Secret: code.Secret[:], CSR: csr, Name: tidyName(opt.Name), Disclosure: may, Software: opt.Software,
	})
	if errors.Is(err, ErrUnreachable) && opt.now().After(code.Expires) {
		err = fmt.Errorf("%w; by this board's clock the code has expired, too", err)
	}
	if err != nil {
		return Enrolment{}, err
	}
	res, err := opt.accept(r, key, slices.Clone(addrs))
	if err != nil {
		return res, err
	}
	if fingerprint(res.Authority) != code.Authority || !res.Disclosure.Within(may) {
		return Enrolment{}, refuse(ErrWrongCloud, "it certified something else than was asked")
	}
	if err := keepKey(opt.State, key); err != nil {
		return res, err
	}
	if err := res.save(); err != nil {
		return res, err
	}
	dropKeys(opt.State, KeyHash(res.Certificate))
	return res, nil
}

// accept makes an identity of a reply, checked but not written yet.
func (o Options) accept(r *reply, key *ecdsa.PrivateKey, clouds []string) (Enrolment, error) {
	id := &Identity{Device: r.Name, Disclosure: r.Disclosure, Clouds: clouds, Clock: time.UnixMilli(r.Time), dir: o.State, key: key}
	var err error
	if id.Certificate, err = x509.ParseCertificate(r.Certificate); err == nil {
		id.Authority, err = x509.ParseCertificate(r.Authority)
	}
	if err == nil {
		err = id.check()
	}
	if err != nil {
		return Enrolment{}, fmt.Errorf("%w: the cloud's reply: %v", ErrProtocol, err)
	}
	return Enrolment{Identity: id, Behind: id.Clock.Sub(o.now())}, nil
}

func (o Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// Renew gets a new certificate for the same key, over a connection that the old
// one authenticates, expired or not, and writes it. Opt.Disclosure, where set, lowers
// what the cloud may see. Errors wrap ErrNotEnrolled, ErrRevoked, ErrNotAllowed,
// ErrUnknown, ErrWrongCloud or ErrUnreachable.
func Renew(ctx context.Context, opt Options) (Enrolment, error) {
	id, err := Load(opt.State)
	if err != nil {
		return Enrolment{}, err
	}
	r, err := exchange(ctx, opt.Dial, opt.clouds(id), id.pinned(), &request{Op: opRenew, Disclosure: opt.Disclosure, Name: id.Device, Software: opt.Software})
	if err != nil {
		return Enrolment{}, err
	}
	res, err := opt.accept(r, id.key, id.Clouds)
	if err != nil {
		return res, err
	}
	if !res.Authority.Equal(id.Authority) || res.Device != id.Device || !res.Disclosure.Within(id.Disclosure) {
		return Enrolment{}, refuse(ErrWrongCloud, "it renewed another enrolment than this")
	}
	return res, res.save()
}

// CloudTime asks the cloud what time it is: a board without a battery clock
// then knows the least it can be.
func CloudTime(ctx context.Context, opt Options) (time.Time, error) {
	id, err := Load(opt.State)
	if err != nil {
		return time.Time{}, err
	}
	r, err := exchange(ctx, opt.Dial, opt.clouds(id), id.pinned(), &request{Op: opTime})
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(r.Time), nil
}

func (o Options) clouds(id *Identity) []string {
	if len(o.Clouds) > 0 {
		return o.Clouds
	}
	return id.Clouds
}

// pinned is the configuration for enrolment connections of an enrolled board.
func (id *Identity) pinned() *tls.Config {
	conf := pin(func(cert *x509.Certificate) bool { return cert.Equal(id.Authority) })
	conf.Certificates = []tls.Certificate{id.pair()}
	return conf
}
