package partition_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/internal/fakestore"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
)

// records is a store as the partition asks it.
type records struct{ *fakestore.Store }

func (r records) RaiseEpoch(string, uint64) (uint64, bool, error) { return 0, true, nil }
func (r records) SawDevice(string, []byte, time.Time) error       { return nil }
func (r records) Admitted(name string) (string, error) {
	d, err := r.Device(name)
	switch {
	case errors.Is(err, trust.ErrUnknown):
		return "", fmt.Errorf("%w: %s", partition.ErrUnknownDevice, name)
	case d.Revoked:
		return "", fmt.Errorf("%w: %s", partition.ErrRevoked, trust.RevokedText(name))
	}
	return string(d.Disclosure), err
}

// trusted is a cloud with an authority of its own.
type trusted struct {
	*cloud
	registrar *trust.Registrar
	store     *fakestore.Store
	tcp       string // its address for networks that block UDP
}

func newTrusted(t testing.TB, change ...func(*partition.Config)) *trusted {
	t.Helper()
	c := &trusted{cloud: &cloud{stage: fakestage.New(width, vocab, 4, 4096, 64)}, store: &fakestore.Store{}}
	a, err := trust.CreateAuthority(t.TempDir(), nil, time.Now)
	must(t, err)
	c.registrar = &trust.Registrar{
		Authority: a, Store: c.store, Now: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Dropped: func(device, why string) { c.server.Disconnect(device, why) },
	}
	ln, err := transport.ListenOptions{NoTCP: true}.Listen("127.0.0.1:0", c.registrar.TLS())
	must(t, err)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c.tcp = tcp.Addr().String()
	c.ln = cloudlink.WithEnrolment(transport.Both(ln, transport.ListenTCPOn(tcp, c.registrar.TLS())), c.registrar)
	c.serve(t, append([]func(*partition.Config){func(conf *partition.Config) { conf.Devices = records{c.store} }}, change...)...)
	return c
}

// enroll makes a board of that name, over the cloud's own port.
func (c *trusted) enroll(t testing.TB, name string, may trust.Disclosure) *trust.Identity {
	t.Helper()
	inv, err := c.registrar.Invite(name, may, time.Hour, []string{c.ln.Addr().String()})
	must(t, err)
	code, err := trust.ParseCode(inv.Code)
	must(t, err)
	r, err := trust.Enroll(t.Context(), code, trust.Options{State: t.TempDir(), Dial: cloudlink.DialEnrolment})
	must(t, err)
	return r.Identity
}

func (c *trusted) dialAs(t testing.TB, id *trust.Identity, change ...func(*cloudlink.Config)) *cloudlink.Client {
	t.Helper()
	conf := cloudlink.Config{Addr: id.Clouds[0], TLS: id.TLS(time.Now), Device: id.Device, Epoch: 1, Idle: patience, Handshake: patience}
	for _, f := range change {
		f(&conf)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := cloudlink.Dial(ctx, conf)
	must(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// A revoked device's connection ends at once, it is told what to do, and it is
// refused from then on; another goes on.
func TestRevokedAtOnce(t *testing.T) {
	c := newTrusted(t)
	pi, other := c.enroll(t, "pi", trust.Text), c.enroll(t, "other", trust.Text)
	client, bystander := c.dialAs(t, pi), c.dialAs(t, other)
	hidden := rows(rand.New(rand.NewPCG(1, 1)), 2)
	s, o := open(t, client), open(t, bystander)
	must(t, s.Append(0, hidden))
	wantRow(t, ask(t, s, 1, 0), hidden)

	must(t, c.registrar.Revoke("pi"))
	<-client.Done()
	refused(t, client.Err(), "pi was revoked")
	if _, err := s.Ask(t.Context(), 1, 0); !errors.Is(err, cloudlink.ErrUnauthorized) {
		t.Errorf("the session says %v", err)
	}
	again := c.dialAs(t, pi)
	<-again.Done()
	refused(t, again.Err(), "skerry cloud invite --name pi")

	must(t, o.Append(0, hidden))
	wantRow(t, ask(t, o, 1, 0), hidden)
}

// usedEpochs is a record in which the numbers up to 5 have been used.
type usedEpochs struct{ records }

func (usedEpochs) RaiseEpoch(_ string, epoch uint64) (uint64, bool, error) {
	return max(epoch, 5), epoch > 5, nil
}

// A connection number that has been used is refused without a warning: a test of the link
// begins with one.
func TestUsedEpochIsNoWarning(t *testing.T) {
	lines := make(chan string, 1)
	c := newTrusted(t, func(conf *partition.Config) {
		conf.Log = slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
			if strings.Contains(string(b), "epoch refused") {
				lines <- string(b)
			}
			return len(b), nil
		}), nil))
		conf.Devices = usedEpochs{conf.Devices.(records)}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := c.dialAs(t, c.enroll(t, "pi", trust.Text)).AwaitWelcome(ctx)
	wantErr(t, err, cloudlink.ErrStale)
	if line := <-lines; !strings.Contains(line, "level=INFO") {
		t.Error(line)
	}
}

// tickets are session tickets in memory.
type tickets struct {
	mu  sync.Mutex // guards all
	all [][]byte
}

func (k *tickets) PutTicket(_ string, b []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, b)
	return nil
}

func (k *tickets) TakeTicket(string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.all) == 0 {
		return nil, nil
	}
	b := k.all[0]
	k.all = k.all[1:]
	return b, nil
}

func (k *tickets) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.all)
}

// A ticket from before lets a revoked device in as little as its certificate,
// whatever came in the first flight.
func TestRevokedOnResumption(t *testing.T) {
	c := newTrusted(t)
	id := c.enroll(t, "pi", trust.Text)
	var kept tickets
	epoch := uint64(0)
	dial := func() *cloudlink.Client {
		epoch++
		return c.dialAs(t, id, func(conf *cloudlink.Config) { conf.Tickets, conf.Epoch = &kept, epoch })
	}
	first := dial()
	must(t, open(t, first).Ready(t.Context()))
	eventually(t, func() bool { return kept.count() > 0 })
	first.Close()
	again := dial()
	must(t, open(t, again).Ready(t.Context()))
	<-again.Confirmed()
	if !again.Used0RTT() {
		t.Fatal("not resumed: the test would show nothing")
	}
	eventually(t, func() bool { return kept.count() > 0 })
	must(t, c.registrar.Revoke("pi"))
	<-again.Done()
	opened := c.server.Stats().Opened
	barred := dial()
	s, err := barred.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: bundleID, Width: width, Context: 64})
	if err == nil {
		err = s.Ready(t.Context())
	}
	wantErr(t, err, cloudlink.ErrUnauthorized)
	<-barred.Done()
	refused(t, barred.Err(), "pi was revoked")
	if got := c.server.Stats().Opened; got != opened {
		t.Errorf("%d sessions opened", got-opened)
	}

	// Nor does a former certificate's, once the name is another board's.
	must(t, open(t, c.dialAs(t, c.enroll(t, "pi", trust.Text), func(conf *cloudlink.Config) { conf.Epoch = 100 })).Ready(t.Context()))
	conf := cloudlink.Config{Addr: id.Clouds[0], TLS: id.TLS(time.Now), Epoch: 101, Tickets: &kept}
	former, err := cloudlink.Dial(t.Context(), conf)
	if err == nil {
		<-former.Done()
		err = former.Err()
		former.Close()
	}
	wantErr(t, err, cloudlink.ErrUnauthorized)
}

// Where UDP is blocked a board enrolls over TCP.
func TestEnrollWithoutUDP(t *testing.T) {
	c := newTrusted(t)
	inv, err := c.registrar.Invite("pi", trust.Text, time.Hour, []string{c.tcp})
	must(t, err)
	code, err := trust.ParseCode(inv.Code)
	must(t, err)
	opt := trust.Options{State: t.TempDir(), Dial: cloudlink.DialEnrolment}
	r, err := trust.Enroll(t.Context(), code, opt)
	must(t, err)
	if r.Device != "pi" || r.Clouds[0] != c.tcp {
		t.Errorf("%+v", r.Identity)
	}
}

func refused(t testing.TB, err error, text string) {
	t.Helper()
	var r *cloudlink.RemoteError
	if !errors.Is(err, cloudlink.ErrUnauthorized) || !errors.As(err, &r) || !strings.Contains(r.Text, text) {
		t.Errorf("got %v, want a refusal with %q", err, text)
	}
}

func TestForgottenDevice(t *testing.T) {
	c := newTrusted(t)
	id := c.enroll(t, "pi", trust.Text)
	must(t, c.store.Forget("pi"))
	client := c.dialAs(t, id)
	<-client.Done()
	refused(t, client.Err(), "unknown device: pi")
}

// What the cloud may see is enforced on both sides.
func TestNothingMayBeSent(t *testing.T) {
	c := newTrusted(t)
	id := c.enroll(t, "pi", trust.Nothing)
	s := open(t, c.dialAs(t, id))
	err := s.Ready(t.Context())
	refused(t, err, "--may hidden or text")
	if got := c.server.Stats(); got.Opened != 0 || got.Refused != 1 {
		t.Errorf("%+v", got)
	}
	careful := c.dialAs(t, id, func(conf *cloudlink.Config) { conf.Disclosure = id.Disclosure })
	_, err = careful.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: bundleID, Width: width})
	wantErr(t, err, cloudlink.ErrMayNot)

	hidden := c.dialAs(t, c.enroll(t, "second", trust.Hidden))
	must(t, open(t, hidden).Ready(t.Context()))
	s = open(t, hidden, func(o *cloudlink.SessionOptions) { o.Tokens = true })
	refused(t, s.Ready(t.Context()), "no tokens: enroll it again with --may text")
	careful = c.dialAs(t, c.enroll(t, "third", trust.Hidden), func(conf *cloudlink.Config) { conf.Disclosure = trust.Hidden })
	_, err = careful.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: bundleID, Tokens: true})
	wantErr(t, err, cloudlink.ErrMayNot)
}

// An operator's change shows at the next session of a connection that stands.
func TestMayChanges(t *testing.T) {
	c := newTrusted(t)
	client := c.dialAs(t, c.enroll(t, "pi", trust.Hidden))
	must(t, open(t, client).Ready(t.Context()))
	dev, err := c.store.Device("pi")
	must(t, err)
	dev.Disclosure = trust.Nothing
	must(t, c.store.PutDevice(dev))
	refused(t, open(t, client).Ready(t.Context()), "may send nothing")
}

// A certificate of another authority, or none, opens nothing, and enrolment is
// not a way around it.
func TestStrangers(t *testing.T) {
	c, other := newTrusted(t), newTrusted(t)
	id := other.enroll(t, "pi", trust.Text)
	conf := id.TLS(time.Now)
	conf.InsecureSkipVerify = true
	client, err := cloudlink.Dial(t.Context(), cloudlink.Config{Addr: c.ln.Addr().String(), TLS: conf})
	if err == nil {
		<-client.Done()
		err = client.Err()
		client.Close()
	}
	wantErr(t, err, cloudlink.ErrUnauthorized)

	id.Clouds = []string{c.ln.Addr().String()}
	_, err = cloudlink.Dial(t.Context(), cloudlink.Config{Addr: id.Clouds[0], TLS: id.TLS(time.Now)})
	wantErr(t, err, cloudlink.ErrUnauthorized)

	conf.NextProtos = []string{trust.ALPN}
	stream, err := cloudlink.DialEnrolment(t.Context(), c.ln.Addr().String(), conf)
	must(t, err)
	stream.Write([]byte{0, 0, 0, 1, 0xff})
	if n, err := stream.Read(make([]byte, 9)); err == nil {
		t.Errorf("%d bytes in reply to garbage", n)
	}
	stream.Close()
	eventually(t, func() bool { return c.server.Stats().Connections == 0 })
}

// Where nobody keeps the connections for enrolment back, they are of no device.
func TestEnrolmentIsNoWayIn(t *testing.T) {
	c := newTrusted(t)
	id := c.enroll(t, "pi", trust.Text)
	ln, err := transport.Listen("127.0.0.1:0", c.registrar.TLS())
	must(t, err)
	open := &cloud{stage: fakestage.New(width, vocab, 1, 1024, 64), ln: ln}
	open.serve(t, func(conf *partition.Config) { conf.Devices = records{c.store} })
	conf := id.TLS(time.Now)
	conf.NextProtos = []string{trust.ALPN}
	stream, err := cloudlink.DialEnrolment(t.Context(), ln.Addr().String(), conf)
	must(t, err)
	defer stream.Close()
	b, err := wire.Append(nil, &wire.Open{
		Ref: wire.Ref{Session: wire.SessionID{1}, Epoch: 1}, Protocol: wire.Protocol, Bundle: bundleID,
		Encodings: []wire.DType{wire.F32}, Context: 64,
	})
	must(t, err)
	_, err = stream.Write(b)
	must(t, err)
	m, err := wire.NewReader(stream, 0).Next()
	must(t, err)
	if e, ok := m.(*wire.Error); !ok || e.Code != wire.CodeUnauthorized {
		t.Errorf("%T %+v", m, m)
	}
}
