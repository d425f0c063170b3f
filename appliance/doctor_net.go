package main

import (
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
	"strings"
	"syscall"
	"time"

	"skerry/appliance/status"
	"skerry/cloudlink/trust"
)

func (d *doctor) port() {
	if d.status != nil {
		d.served(d.status.URLs)
		return
	}
	addrs := slices.Concat(d.conf.Listen, d.conf.OllamaListen)
	for _, addr := range addrs {
		d.bindable(addr)
	}
	if open := slices.IndexFunc(addrs, func(a string) bool { return !loopbackOnly(a) }); open >= 0 {
		if _, err := os.Stat(filepath.Join(d.state, "keys.json")); errors.Is(err, fs.ErrNotExist) {
			d.fail("port", addrs[open]+" is open to the network, and there is no API key", "skerry key new NAME, or listen on 127.0.0.1")
		}
	}
}

// loopbackOnly says whether only this machine reaches the address.
func loopbackOnly(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// served tries the addresses at which the daemon says it is.
func (d *doctor) served(urls []string) {
	for _, u := range urls {
		at, err := url.Parse(u)
		if err != nil || at.Port() == "" {
			continue
		}
		c, err := (&net.Dialer{Timeout: stepTime}).DialContext(d.ctx, "tcp", at.Host)
		if err != nil {
			d.warn("port", "the daemon is to be at "+u+", and is not: "+oneLine(err), "check the firewall, and listen in the configuration")
			continue
		}
		c.Close()
		d.ok("port", "%s answers", u)
	}
	if len(urls) == 0 {
		d.skip("port", "the daemon serves its socket alone")
	}
}

func (d *doctor) bindable(addr string) {
	l, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		l.Close()
		d.ok("port", "%s is free for the daemon", addr)
	case errors.Is(err, syscall.EADDRINUSE) && d.there:
		d.ok("port", "%s is in use, by the daemon no doubt", addr)
	case errors.Is(err, syscall.EADDRINUSE):
		_, port, _ := net.SplitHostPort(addr)
		d.fail("port", addr+" is another program's", fmt.Sprintf("ss -ltnp 'sport = :%s' names it; end it, or set listen in the configuration", port))
	default:
		d.fail("port", oneLine(err), "set listen in the configuration to an address of this machine")
	}
}

// oldest is a time that every clock that is right has passed.
var oldest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (d *doctor) clock() {
	now := d.host.now()
	least := oldest
	if id, err := trust.Load(d.state); err == nil && id.Clock.After(least) {
		least = id.Clock
	}
	if now.Before(least.Add(-clockOff)) {
		d.fail("clock", fmt.Sprintf("%s, but it is after %s", now.UTC().Format(time.DateTime), least.UTC().Format(time.DateTime)), "timedatectl set-ntp true, or timedatectl set-time")
		return
	}
	switch synced, err := d.host.synced(); {
	case err != nil:
		d.skip("clock", "whether it is kept right cannot be told: "+oneLine(err))
	case !synced:
		d.warn("clock", now.Format(time.DateTime+" MST")+", but nothing keeps it right", "timedatectl set-ntp true")
	default:
		d.ok("clock", "%s, kept right over the network", now.Format(time.DateTime+" MST"))
	}
}

// soon is when the end of a certificate is worth a word.
const soon = 14 * 24 * time.Hour

func (d *doctor) certificate() {
	if d.conf.TLS.Cert != "" {
		d.pageCertificate()
	}
	id, err := trust.Load(d.state)
	switch {
	case errors.Is(err, trust.ErrNotEnrolled):
		d.skip("certificate", "this board is not enrolled with a cloud")
		return
	case errors.Is(err, fs.ErrPermission):
		d.skip("certificate", "this user may not read it")
		return
	case err != nil:
		d.fail("certificate", oneLine(err), "skerry enroll CODE, with a new code of the cloud's operator")
		return
	}
	until, now := id.Certificate.NotAfter, d.host.now()
	text := fmt.Sprintf("of %s, good until %s", id.Device, until.Format(time.DateOnly))
	switch {
	case id.Expired(now):
		d.fail("certificate", text, "skerry enroll --renew, and check the clock")
	case until.Sub(id.Time(now)) < soon:
		d.warn("certificate", text+": it should have renewed itself", "skerry enroll --renew")
	default:
		d.ok("certificate", "%s", text)
	}
}

// pageCertificate is that of the listeners.
func (d *doctor) pageCertificate() {
	b, err := os.ReadFile(d.conf.TLS.Cert)
	if err != nil {
		d.fail("certificate", "of the page: "+oneLine(err), "set tls.cert and tls.key to files that the daemon may read")
		return
	}
	block, _ := pem.Decode(b)
	if block == nil {
		d.fail("certificate", d.conf.TLS.Cert+" is no PEM file", "set tls.cert to a certificate chain")
		return
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		d.fail("certificate", d.conf.TLS.Cert+": "+oneLine(err), "set tls.cert to a certificate chain")
		return
	}
	text := "of the page, good until " + cert.NotAfter.Format(time.DateOnly)
	switch left := cert.NotAfter.Sub(d.host.now()); {
	case left < 0:
		d.fail("certificate", text, "renew it: the daemon takes the new file up by itself")
	case left < soon:
		d.warn("certificate", text, "renew it: the daemon takes the new file up by itself")
	default:
		d.ok("certificate", "%s", text)
	}
}

func (d *doctor) link() {
	if d.status != nil {
		d.daemonLink(d.status.Link)
		return
	}
	if !trust.Enrolled(d.state) {
		d.skip("link", "no cloud: this board answers alone (skerry enroll CODE changes that)")
		return
	}
	t := &linkTest{ctx: d.ctx, state: d.state}
	t.run()
	bad := 0
	for _, k := range t.checks {
		if k.Result == fail {
			bad++
			d.fail("link", k.Name+": "+k.Detail, k.ToDo)
		}
	}
	if bad == 0 {
		d.ok("link", "%s: every part of the way works", t.cloud)
	}
}

func (d *doctor) daemonLink(l status.Link) {
	switch {
	case !l.Wanted:
		d.skip("link", "no cloud: this board answers alone (skerry enroll CODE changes that)")
	case !l.Connected:
		d.warn("link", "down: "+l.Reason+lastError(l), "skerry link test finds the part that fails")
	default:
		d.ok("link", "%s to %s by %s, %s", l.State, l.Cloud, l.Transport, l.Reason)
	}
}

func lastError(l status.Link) string {
	if l.LastError == "" || strings.Contains(l.Reason, l.LastError) {
		return ""
	}
	return " (" + l.LastError + ")"
}
