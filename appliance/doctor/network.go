package doctor

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"skerry/appliance/status"
	"skerry/cloudlink/trust"
)

func (d *Doctor) port(ctx context.Context) (found Findings) {
	if d.status != nil {
		return served(ctx, d.status.URLs)
	}
	addrs := slices.Concat(d.conf.Listen, d.conf.OllamaListen)
	for _, addr := range addrs {
		found = append(found, d.bindable(addr)...)
	}
	if open := slices.IndexFunc(addrs, func(a string) bool { return !loopbackOnly(a) }); open >= 0 {
		if _, err := os.Stat(filepath.Join(d.state, "keys.json")); errors.Is(err, fs.ErrNotExist) {
			found = append(found, fail(addrs[open]+" is open to the network, and there is no API key", "skerry key new NAME, or listen on 127.0.0.1")...)
		}
	}
	return found
}

// loopbackOnly says whether only this machine reaches the address.
func loopbackOnly(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// served tries the addresses at which the daemon says it is.
func served(ctx context.Context, urls []string) (found Findings) {
	if len(urls) == 0 {
		return skip("the daemon serves its socket alone")
	}
	for _, u := range urls {
		at, err := url.Parse(u)
		if err != nil || at.Port() == "" {
			continue
		}
		c, err := (&net.Dialer{Timeout: stepTime}).DialContext(ctx, "tcp", at.Host)
		if err != nil {
			found = append(found, warn("the daemon is to be at "+u+", and is not: "+status.OneLine(err), "check the firewall, and listen in the configuration")...)
			continue
		}
		c.Close()
		found = append(found, pass("%s answers", u)...)
	}
	return found
}

func (d *Doctor) bindable(addr string) Findings {
	l, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		l.Close()
		return pass("%s is free for the daemon", addr)
	case errors.Is(err, syscall.EADDRINUSE) && d.there:
		return pass("%s is in use, by the daemon no doubt", addr)
	case errors.Is(err, syscall.EADDRINUSE):
		_, port, _ := net.SplitHostPort(addr)
		return fail(addr+" is another program's", fmt.Sprintf("ss -ltnp 'sport = :%s' names it; end it, or set listen in the configuration", port))
	}
	return fail(status.OneLine(err), "set listen in the configuration to an address of this machine")
}

// oldest is a time that every clock that is right has passed.
var oldest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// clockOff is how far two clocks may be apart before it is worth a word.
const clockOff = time.Minute

// ClockAdvice says what is to be done about a board's clock that is so far behind the
// cloud's, or ahead of it where that is below 0; "" where it is not worth a word.
func ClockAdvice(behind time.Duration) string {
	if d := behind.Round(time.Second); d > clockOff {
		return fmt.Sprintf("this board's clock is %s behind the cloud's; the cloud's is taken as the least it can be (set the clock: timedatectl set-ntp true)", d)
	} else if d < -clockOff {
		return fmt.Sprintf("this board's clock is %s ahead of the cloud's; certificates may seem expired here (set the clock: timedatectl set-ntp true)", -d)
	}
	return ""
}

func (d *Doctor) clock(context.Context) Findings {
	now := d.host.now()
	least := oldest
	if id, err := trust.Load(d.state); err == nil && id.Clock.After(least) {
		least = id.Clock
	}
	if now.Before(least.Add(-clockOff)) {
		return fail(fmt.Sprintf("%s, but it is after %s", now.UTC().Format(time.DateTime), least.UTC().Format(time.DateTime)), "timedatectl set-ntp true, or timedatectl set-time")
	}
	switch synced, err := d.host.synced(); {
	case err != nil:
		return skip("whether it is kept right cannot be told: " + status.OneLine(err))
	case !synced:
		return warn(now.Format(time.DateTime+" MST")+", but nothing keeps it right", "timedatectl set-ntp true")
	}
	return pass("%s, kept right over the network", now.Format(time.DateTime+" MST"))
}

// soon is when the end of a certificate is worth a word.
const soon = 14 * 24 * time.Hour

// certificates are that of the page, where it has one, and that of the enrolment.
func (d *Doctor) certificates(context.Context) (found Findings) {
	if d.conf.TLS.Cert != "" {
		found = d.pageCertificate()
	}
	return append(found, d.boardCertificate()...)
}

// boardCertificate is the one that a cloud knows this board by.
func (d *Doctor) boardCertificate() Findings {
	id, err := trust.Load(d.state)
	switch {
	case errors.Is(err, trust.ErrNotEnrolled):
		return skip("this board is not enrolled with a cloud")
	case errors.Is(err, fs.ErrPermission):
		return skip("this user may not read it")
	case err != nil:
		return fail(status.OneLine(err), "skerry enroll CODE, with a new code of the cloud's operator")
	}
	until, now := id.Certificate.NotAfter, d.host.now()
	text := fmt.Sprintf("of %s, good until %s", id.Device, until.Format(time.DateOnly))
	switch {
	case id.Expired(now):
		return fail(text, "skerry enroll --renew, and check the clock")
	case until.Sub(id.Time(now)) < soon:
		return warn(text+": it should have renewed itself", "skerry enroll --renew")
	}
	return pass("%s", text)
}

// pageCertificate is that of the listeners.
func (d *Doctor) pageCertificate() Findings {
	b, err := os.ReadFile(d.conf.TLS.Cert)
	if err != nil {
		return fail("of the page: "+status.OneLine(err), "set tls.cert and tls.key to files that the daemon may read")
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return fail(d.conf.TLS.Cert+" is no PEM file", "set tls.cert to a certificate chain")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fail(d.conf.TLS.Cert+": "+status.OneLine(err), "set tls.cert to a certificate chain")
	}
	text := "of the page, good until " + cert.NotAfter.Format(time.DateOnly)
	const renew = "renew it: the daemon takes the new file up by itself"
	switch left := cert.NotAfter.Sub(d.host.now()); {
	case left < 0:
		return fail(text, renew)
	case left < soon:
		return warn(text, renew)
	}
	return pass("%s", text)
}

const noCloud = "no cloud: this board answers alone (skerry enroll CODE changes that)"

// link asks the daemon how its link is, and without one tries the way to the cloud as
// skerry link test does.
func (d *Doctor) link(ctx context.Context) Findings {
	if d.status != nil {
		return linkOf(d.status.Link)
	}
	if !trust.Enrolled(d.state) {
		return skip(noCloud)
	}
	t := NewLinkTest(LinkOptions{Version: d.opt.Version, State: d.state})
	var failed Findings
	for _, f := range t.Run(ctx, nil) {
		if f.Result == Fail {
			failed = append(failed, fail(f.Check+": "+f.Detail, f.ToDo)...)
		}
	}
	if len(failed) == 0 {
		return pass("%s: every part of the way works", t.Cloud())
	}
	return failed
}

func linkOf(l status.Link) Findings {
	switch {
	case !l.Wanted:
		return skip(noCloud)
	case !l.Connected:
		why := "down: " + l.Reason
		if e := l.OtherError(); e != "" {
			why += " (" + e + ")"
		}
		return warn(why, "skerry link test finds the part that fails")
	case l.State == status.LinkRefused:
		todo := "skerry link test says what to do"
		if l.Pull != "" {
			todo = "serve this model there (skerry cloud --bundle DIR), or take the one that it has: " + l.Pull
		}
		return warn(l.Cloud+" can be reached, and nothing can be asked: "+l.Reason, todo)
	}
	return pass("%s to %s by %s, %s", l.State, l.Cloud, l.Transport, l.Reason)
}
