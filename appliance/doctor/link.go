package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/status"
	"skerry/cloudlink"
	"skerry/cloudlink/trust"
)

// LinkOptions are what a test of the link is told.
type LinkOptions struct {
	Version string // of this program
	State   string // where the enrolment is kept
	Cloud   string // HOST:PORT; "" for the one that this board is enrolled with
	Bundle  string // the bundle to test with; "" for the default model's, if it is here
}

// LinkTest goes through the parts of the way to the cloud in the order in which they
// depend on one another. It is for one Run.
type LinkTest struct {
	opt     LinkOptions
	cloud   string          // the address that is tested
	clouds  []string        // addresses of the enrolment, where none was named
	id      *trust.Identity // nil: development certificates
	tls     *tls.Config     // nil: this board is not enrolled
	found   bool            // the cloud has an address
	epochs  countedEpochs
	tickets *heldTickets

	dialled bool
	client  *cloudlink.Client // nil: no connection came about
	failed  error             // why
	silent  []string          // addresses of the enrolment that do not answer
	remote  netip.AddrPort    // where the cloud answered by QUIC

	model  *bundle.Manifest // nil: nothing can be sent
	unsent string           // why
}

// NewLinkTest is a test that is yet to be run.
func NewLinkTest(o LinkOptions) *LinkTest {
	return &LinkTest{opt: o, cloud: o.Cloud, tickets: newHeldTickets()}
}

// Cloud is the address that was tested, once it is known.
func (t *LinkTest) Cloud() string { return t.cloud }

// What the later checks of a link need of the earlier ones.
var (
	enrolment  = need[*LinkTest]{"an enrolment", func(t *LinkTest) bool { return t.tls != nil }}
	address    = need[*LinkTest]{"an address", func(t *LinkTest) bool { return t.found }}
	connection = need[*LinkTest]{"a connection", func(t *LinkTest) bool { return t.client != nil }}
	reachable  = []need[*LinkTest]{enrolment, address}
	connected  = []need[*LinkTest]{enrolment, address, connection}
)

var linkChecks = []check[*LinkTest]{
	{"enrolled", nil, (*LinkTest).enrolled},
	{"address", []need[*LinkTest]{enrolment}, (*LinkTest).address},
	{"clock", reachable, (*LinkTest).clock},
	{"udp", reachable, (*LinkTest).udp},
	{"identity", reachable, (*LinkTest).identity},
	{"mtu", connected, (*LinkTest).mtu},
	{"tcp", reachable, (*LinkTest).tcp},
	{"0-rtt", connected, (*LinkTest).zeroRTT},
	{"may-see", connected, (*LinkTest).maySee},
	{"bundle", connected, (*LinkTest).bundle},
	{"goodput", connected, (*LinkTest).goodput},
	{"rtt", connected, (*LinkTest).roundTrip},
}

// Run makes the test; say, which may be nil, is told of each finding as it is made.
func (t *LinkTest) Run(ctx context.Context, say func(Finding)) Findings {
	defer func() {
		if t.client != nil {
			t.client.Close()
		}
	}()
	return lookAll(ctx, t, linkChecks, say)
}

// enrolled finds out who this board is to the cloud. Without an enrolment only a
// development cloud on this machine can be tested.
func (t *LinkTest) enrolled(context.Context) Findings {
	id, err := trust.Load(t.opt.State)
	switch {
	case errors.Is(err, trust.ErrNotEnrolled) && isLoopback(t.cloud):
		if _, t.tls, err = cloudlink.DevTLS(filepath.Join(t.opt.State, "dev")); err != nil {
			return fail(status.OneLine(err), "give a --state that this user may write")
		}
		return skip("no: development certificates are tried, which serve loopback alone")
	case err != nil:
		return fail(status.OneLine(err), "run `skerry enroll CODE`; `skerry cloud invite` on the cloud makes a code")
	}
	t.id, t.tls = id, id.TLS(time.Now)
	if t.cloud == "" && len(id.Clouds) > 0 {
		t.cloud, t.clouds = id.Clouds[0], id.Clouds
	}
	until := id.Certificate.NotAfter.Format(time.DateOnly)
	if id.Expired(time.Now()) {
		return fail("as "+id.Device+", but the certificate was good until "+until, "run `skerry enroll --renew`, and check the clock")
	}
	return pass("as %s, the certificate is good until %s", id.Device, until)
}

func isLoopback(addr string) bool {
	ua, err := net.ResolveUDPAddr("udp", addr)
	return err == nil && ua.IP.IsLoopback()
}

func (t *LinkTest) address(ctx context.Context) Findings {
	host, _, err := net.SplitHostPort(t.cloud)
	if err != nil {
		return fail("no address of the cloud is known", "give --cloud HOST:PORT, and enroll with it")
	}
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil && len(t.clouds) > 1 {
		t.found = true
		return skip(t.cloud + ": " + status.OneLine(err) + "; the enrolment has other addresses")
	}
	if err != nil {
		return fail(status.OneLine(err), "check the name of the cloud, and that this network has a DNS server")
	}
	t.found = true
	return pass("%s is %s", t.cloud, strings.Join(ips, ", "))
}

// clock compares this board's with the cloud's. One that is behind costs
// nothing; one far ahead makes good certificates look expired.
func (t *LinkTest) clock(ctx context.Context) Findings {
	t.connect(ctx) // of several addresses this finds the one that answers
	if t.id == nil {
		return skip("development clouds do not tell their time")
	}
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	at, err := trust.CloudTime(ctx, trust.Options{State: t.opt.State, Dial: cloudlink.DialEnrolment, Clouds: []string{t.cloud}})
	if err != nil {
		return skip("the cloud did not tell its time: " + status.OneLine(err))
	}
	off := time.Since(at).Round(time.Second)
	if off.Abs() <= clockOff {
		return pass("within %s of the cloud's", max(off.Abs(), time.Second))
	}
	where := "ahead of"
	if off < 0 {
		where = "behind"
	}
	return fail(off.Abs().String()+" "+where+" the cloud's", "set the clock: timedatectl set-ntp true")
}
