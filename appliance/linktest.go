package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/trust"
)

// linkTest goes through the parts of a link in the order in which they depend
// on one another.
type linkTest struct {
	ctx          context.Context
	state, cloud string
	bundle       string
	say          func(check)
	id           *trust.Identity // nil: development certificates
	tls          *tls.Config
	checks       []check
	failed       int
	epochs       countedEpochs
	tickets      heldTickets
}

// stepTime bounds a part that waits for the network.
const stepTime = 5 * time.Second

func (t *linkTest) run() {
	if !t.enrolled() {
		t.skip("not without an enrolment", "address", "clock", "udp", "identity", "tcp", "0-rtt", "may-see", "bundle", "goodput", "rtt")
		return
	}
	if !t.address() {
		t.skip("not without an address", "clock", "udp", "identity", "tcp", "0-rtt", "may-see", "bundle", "goodput", "rtt")
		return
	}
	t.clock()
	client := t.connect()
	t.tcp()
	if client == nil {
		t.skip("not without a connection", "0-rtt", "may-see", "bundle", "goodput", "rtt")
		return
	}
	client = t.resume(client)
	defer client.Close()
	may := t.maySee()
	t.traffic(client, may)
	t.quality(client)
}

// enrolled finds out who this board is to the cloud. Without an enrolment only a
// development cloud on this machine can be tested.
func (t *linkTest) enrolled() bool {
	id, err := trust.Load(t.state)
	switch {
	case errors.Is(err, trust.ErrNotEnrolled) && isLoopback(t.cloud):
		_, conf, err := cloudlink.DevTLS(filepath.Join(t.state, "dev"))
		if err != nil {
			t.fail("enrolled", oneLine(err), "give a --state that this user may write")
			return false
		}
		t.tls = conf
		t.skip("no: development certificates are tried, which serve loopback alone", "enrolled")
		return true
	case err != nil:
		t.fail("enrolled", oneLine(err), "run `skerry enroll CODE`; `skerry cloud invite` on the cloud makes a code")
		return false
	}
	t.id, t.tls = id, id.TLS(time.Now)
	if t.cloud == "" && len(id.Clouds) > 0 {
		t.cloud = id.Clouds[0]
	}
	until := id.Certificate.NotAfter.Format(time.DateOnly)
	if id.Expired(time.Now()) {
		t.fail("enrolled", "as "+id.Device+", but the certificate was good until "+until, "run `skerry enroll --renew`, and check the clock")
		return true
	}
	t.pass("enrolled", "as %s, the certificate is good until %s", id.Device, until)
	return true
}

func isLoopback(addr string) bool {
	ua, err := net.ResolveUDPAddr("udp", addr)
	return err == nil && ua.IP.IsLoopback()
}

func (t *linkTest) address() bool {
	host, _, err := net.SplitHostPort(t.cloud)
	if err != nil {
		t.fail("address", "no address of the cloud is known", "give --cloud HOST:PORT, and enroll with it")
		return false
	}
	ctx, cancel := context.WithTimeout(t.ctx, stepTime)
	defer cancel()
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		t.fail("address", oneLine(err), "check the name of the cloud, and that this network has a DNS server")
		return false
	}
	t.pass("address", "%s is %s", t.cloud, strings.Join(ips, ", "))
	return true
}

// clock compares this board's with the cloud's. One that is behind costs
// nothing; one far ahead makes good certificates look expired.
func (t *linkTest) clock() {
	if t.id == nil {
		t.skip("development clouds do not tell their time", "clock")
		return
	}
	ctx, cancel := context.WithTimeout(t.ctx, stepTime)
	defer cancel()
	at, err := trust.CloudTime(ctx, trust.Options{State: t.state, Dial: cloudlink.DialEnrolment, Clouds: []string{t.cloud}})
	if err != nil {
		t.skip("the cloud did not tell its time: "+oneLine(err), "clock")
		return
	}
	off := time.Since(at).Round(time.Second)
	if off.Abs() <= clockOff {
		t.pass("clock", "within %s of the cloud's", max(off.Abs(), time.Second))
		return
	}
	where := "ahead of"
	if off < 0 {
		where = "behind"
	}
	t.fail("clock", off.Abs().String()+" "+where+" the cloud's", "set the clock: timedatectl set-ntp true")
}
