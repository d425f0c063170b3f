package trust_test

import (
	"errors"
	"testing"
	"time"

	"skerry/cloudlink/internal/fakestore"
	"skerry/cloudlink/trust"
)

func TestRenew(t *testing.T) {
	c := newCloud(t)
	opt := c.options(t.TempDir())
	if _, err := trust.Renew(t.Context(), opt); !errors.Is(err, trust.ErrNotEnrolled) {
		t.Errorf("before: %v", err)
	}
	first, err := trust.Enroll(t.Context(), c.invite(t, "", ""), opt)
	if err != nil {
		t.Fatal(err)
	}
	opt.Disclosure = trust.Unset
	c.add(year(0.6))
	if first.Due(c.now()) {
		t.Error("due too early")
	}
	c.add(year(0.1))
	if !first.Due(c.now()) || first.Expired(c.now()) {
		t.Error("not due")
	}
	r, err := trust.Renew(t.Context(), opt)
	if err != nil || r.Due(c.now()) || r.Certificate.Equal(first.Certificate) || trust.KeyHash(r.Certificate) != trust.KeyHash(first.Certificate) {
		t.Fatalf("%+v, %v", r, err)
	}
	id, err := trust.Load(opt.State)
	if err != nil || !id.Certificate.Equal(r.Certificate) || id.Device != first.Device || id.Disclosure != first.Disclosure {
		t.Errorf("%+v, %v", id, err)
	}
}

// A board that lay in a drawer for years is no stranger: it renews a certificate
// that TLS takes no more.
func TestRenewExpired(t *testing.T) {
	c := newCloud(t)
	opt := c.options(t.TempDir())
	first, err := trust.Enroll(t.Context(), c.invite(t, "", ""), opt)
	if err != nil {
		t.Fatal(err)
	}
	c.add(year(3))
	if !first.Expired(c.now()) {
		t.Fatal("not expired")
	}
	if r, err := trust.Renew(t.Context(), trust.Options{State: opt.State, Dial: c.dial, Now: c.now}); err != nil || r.Expired(c.now()) {
		t.Errorf("%+v, %v", r, err)
	}
}

// Credentials are renewed as they are opened where they are due. A cloud that cannot be
// had is no error before the certificate has expired.
func TestOpenCredentials(t *testing.T) {
	c := newCloud(t)
	opt := c.options(t.TempDir())
	r, err := trust.Enroll(t.Context(), c.invite(t, "", ""), opt)
	if err != nil {
		t.Fatal(err)
	}
	away := opt
	away.Clouds = []string{"gone:1"}
	c.add(r.Certificate.NotAfter.Sub(c.now()) - time.Hour)
	if id, err := trust.OpenCredentials(t.Context(), away); err != nil || !id.Identity().Due(c.now()) {
		t.Errorf("due, and no cloud: %v", err)
	}
	c.add(year(1))
	_, err = trust.OpenCredentials(t.Context(), away)
	wantErr(t, err, trust.ErrUnreachable, "has expired, or its clock is wrong")
	if id, err := trust.OpenCredentials(t.Context(), opt); err != nil || id.Identity().Due(c.now()) {
		t.Errorf("expired, and the cloud is there: %v", err)
	}
}

func TestRenewRefused(t *testing.T) {
	c := newCloud(t)
	opt := c.options(t.TempDir())
	if _, err := trust.Enroll(t.Context(), c.invite(t, "pi", trust.Hidden), trust.Options{State: opt.State, Dial: c.dial, Now: c.now}); err != nil {
		t.Fatal(err)
	}
	// More than the code allowed takes a new code; less does not.
	_, err := trust.Renew(t.Context(), opt)
	wantErr(t, err, trust.ErrNotAllowed, "skerry cloud invite --name pi --may text")
	opt.Disclosure = trust.Nothing
	if r, err := trust.Renew(t.Context(), opt); err != nil || r.Disclosure != trust.Nothing {
		t.Errorf("%+v, %v", r, err)
	}
	if dev, _ := c.store.Device("pi"); dev.Disclosure != trust.Nothing {
		t.Errorf("recorded as %q", dev.Disclosure)
	}
	opt.Disclosure = trust.Unset

	if err := c.registrar.Revoke("pi"); err != nil {
		t.Fatal(err)
	}
	_, err = trust.Renew(t.Context(), opt)
	wantErr(t, err, trust.ErrRevoked, "skerry cloud invite --name pi")
	if err := c.registrar.Revoke("nobody"); !errors.Is(err, trust.ErrUnknown) {
		t.Errorf("revoking nobody: %v", err)
	}

	// Another board takes the name, and the first stays out.
	c.enroll(t, "pi", "")
	_, err = trust.Renew(t.Context(), opt)
	wantErr(t, err, trust.ErrNotAllowed, "another board")
	id, err := trust.Load(opt.State)
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := c.dial(t.Context(), "cloud:7537", id.TLS(c.now)); err == nil {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("the former certificate still connects")
		}
		conn.Close()
	}
	if len(c.dropped) != 3 { // enrolled, revoked, taken over
		t.Errorf("dropped %v", c.dropped)
	}

	// The cloud has lost its record, or is another.
	opt.Dial = newCloud(t).dial
	_, err = trust.Renew(t.Context(), opt)
	wantErr(t, err, trust.ErrWrongCloud, "")
	c.store = &fakestore.Store{}
	c.registrar.Store = c.store
	opt.Dial = c.dial
	_, err = trust.Renew(t.Context(), opt)
	wantErr(t, err, trust.ErrUnknown, "skerry cloud invite")
	c.store.Err = errors.New("disk on fire at /secret")
	if _, err = trust.Renew(t.Context(), opt); err == nil || errors.Is(err, trust.ErrUnknown) || err.Error() != "cloud cloud:7537: the cloud failed: its log says why" {
		t.Errorf("a cloud in trouble: %v", err)
	}
}

// Renewal without a certificate of this cloud is refused.
func TestRenewStranger(t *testing.T) {
	c, other := newCloud(t), newCloud(t)
	r := other.enroll(t, "pi", "")
	c.enroll(t, "pi", "")
	stranger := *r.Identity
	stranger.Authority = c.registrar.Authority.Certificate()
	if err := trust.RenewAs(t.Context(), &stranger, c.dial); !errors.Is(err, trust.ErrNotAllowed) {
		t.Error(err)
	}
}

// A holder's connections use the newest certificate, whoever made the
// configuration when.
func TestHolder(t *testing.T) {
	c := newCloud(t)
	opt := c.options(t.TempDir())
	if _, err := trust.LoadCredentials(opt); !errors.Is(err, trust.ErrNotEnrolled) {
		t.Errorf("before: %v", err)
	}
	if _, err := trust.Enroll(t.Context(), c.invite(t, "pi", ""), opt); err != nil {
		t.Fatal(err)
	}
	h, err := trust.LoadCredentials(opt)
	if err != nil {
		t.Fatal(err)
	}
	conf := h.TLS()
	if renewed, err := h.Refresh(t.Context()); renewed || err != nil {
		t.Errorf("renewed %v before it was due, %v", renewed, err)
	}
	first := h.Identity().Certificate
	c.add(year(0.9))
	for _, want := range []bool{true, false} {
		if renewed, err := h.Refresh(t.Context()); renewed != want || err != nil {
			t.Errorf("renewed %v, %v", renewed, err)
		}
	}
	c.add(year(0.5)) // the first has expired
	used, err := conf.GetClientCertificate(nil)
	if err != nil || used.Leaf.Equal(first) || !used.Leaf.Equal(h.Identity().Certificate) {
		t.Fatalf("the configuration is stuck with the first, %v", err)
	}
	conn, err := c.dial(t.Context(), "cloud:7537", conf)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := c.registrar.Revoke("pi"); err != nil {
		t.Fatal(err)
	}
	c.add(year(0.5))
	if _, err := h.Refresh(t.Context()); !errors.Is(err, trust.ErrRevoked) {
		t.Error(err)
	}
}
