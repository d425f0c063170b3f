package cloudnode

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"skerry/cloudlink/fleet"
	"skerry/cloudlink/fleet/fleettest"
	"skerry/cloudlink/trust"
)

// patience is a safety net, no assertion: a machine with other things to do may stop for many
// seconds.
const patience = 2 * time.Minute

// sharing is the record of boards of one of several workers, with what it heard of others.
type sharing struct {
	*sharedStore
	mu      sync.Mutex
	dropped []string
}

func (s *sharing) drop(device, _ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped = append(s.dropped, device)
}

func (s *sharing) dropsOf(device string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.dropped {
		if d == device {
			n++
		}
	}
	return n
}

func sharedBy(t *testing.T, e *fleettest.Etcd, address string, secret []byte, before ...func(*DeviceStore)) *sharing {
	t.Helper()
	return sharedWith(t, e, address, secret, patience, before...)
}

func sharedWith(t *testing.T, e *fleettest.Etcd, address string, secret []byte, waits time.Duration, before ...func(*DeviceStore)) *sharing {
	t.Helper()
	store, err := OpenDeviceStore(t.TempDir(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	for _, f := range before {
		f(store)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil)).With("worker", address)
	f, err := fleet.Join(fleet.Options{
		Endpoints: []string{e.Endpoint}, Secret: secret, TTL: patience, Patience: waits, Self: fleet.Worker{Address: address}, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() }) // before the store
	s := &sharing{}
	s.sharedStore = share(store, f, log, s.drop)
	t.Cleanup(s.close)
	select {
	case <-s.copied:
	case <-time.After(patience):
		t.Fatal("nothing was copied")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := f.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return s
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

func enrolled(name string, key byte, at time.Time) trust.Device {
	return trust.Device{Name: name, Disclosure: trust.Hidden, Key: [32]byte{key}, Enrolled: at, Expires: at.Add(time.Hour)}
}

// A board that one worker knows all know, also a worker that comes later or comes with boards of
// its own; one that is revoked at any is refused at all, and a code is good once at all.
func TestSharedStore(t *testing.T) {
	t.Parallel()
	e, secret, now := fleettest.New(t), fleet.NewSecret(), time.Now().UTC()
	a := sharedBy(t, e, "a:1", secret)
	b := sharedBy(t, e, "b:1", secret, func(s *DeviceStore) { // it was alone before
		if err := s.PutDevice(enrolled("old", 9, now)); err != nil {
			t.Fatal(err)
		}
	})
	admits := func(s *sharing, device string) func() bool {
		return func() bool { _, err := s.Admitted(device); return err == nil }
	}
	soon(t, "a board of before is not known", admits(a, "old"))
	if err := a.PutDevice(enrolled("pi", 1, now)); err != nil {
		t.Fatal(err)
	}
	soon(t, "a board is not known at the other worker", admits(b, "pi"))
	if err := b.RevokeDevice("pi"); err != nil {
		t.Fatal(err)
	}
	soon(t, "a revoked board keeps its connections", func() bool { return a.dropsOf("pi") > 0 })
	if admits(a, "pi")() || admits(b, "pi")() {
		t.Error("a revoked board is let in")
	}
	if err := a.PutDevice(enrolled("pi", 1, now)); !errors.Is(err, trust.ErrRevoked) {
		t.Errorf("an enrolment of before: %v", err)
	}
	if err := a.RevokeDevice("nobody"); !errors.Is(err, trust.ErrUnknown) {
		t.Errorf("nobody revoked: %v", err)
	}
	if err := a.PutDevice(enrolled("pi", 2, time.Now().Add(time.Second))); err != nil {
		t.Fatal(err)
	}
	soon(t, "a board that came back is not known", admits(b, "pi"))

	c := sharedBy(t, e, "c:1", secret)
	if !admits(c, "pi")() || !admits(c, "old")() {
		t.Error("a worker that has come later does not know the boards")
	}

	invite := trust.Invite{Hash: [32]byte{7}, Name: "new", Made: now, Expires: now.Add(time.Hour)}
	if err := a.AddInvite(invite); err != nil {
		t.Fatal(err)
	}
	used := make(chan error)
	for _, s := range []*sharing{a, b, c} {
		go func() { _, err := s.UseInvite(invite.Hash, now); used <- err }()
	}
	good := 0
	for range 3 {
		if err := <-used; err == nil {
			good++
		} else if !errors.Is(err, trust.ErrUsed) {
			t.Error(err)
		}
	}
	if good != 1 {
		t.Errorf("a code was used %d times", good)
	}
	soon(t, "a used invitation is not listed as used", func() bool {
		all, err := c.Invites()
		return err == nil && len(all) == 1 && all[0].State(now) == "used"
	})
	if err := b.WithdrawInvite(invite.Hash, now); !errors.Is(err, trust.ErrUsed) {
		t.Errorf("a used invitation withdrawn: %v", err)
	}
	if err := b.WithdrawInvite([32]byte{8}, now); !errors.Is(err, trust.ErrUnknownCode) {
		t.Errorf("an unknown one withdrawn: %v", err)
	}

	keys := [][32]byte{{1}, {2}}
	if err := a.PutTicketKeys(keys); err != nil {
		t.Fatal(err)
	}
	soon(t, "ticket keys are not shared", func() bool {
		got, err := b.TicketKeys()
		return err == nil && slices.Equal(got, keys)
	})
}

// While etcd is away boards are let in as before, and a revocation holds here at once and
// everywhere afterwards.
func TestSharedStoreWithoutEtcd(t *testing.T) {
	t.Parallel()
	e, secret := fleettest.New(t), fleet.NewSecret()
	a, b := sharedWith(t, e, "a:1", secret, 300*time.Millisecond), sharedBy(t, e, "b:1", secret)
	if err := b.PutDevice(enrolled("pi", 1, time.Now().Add(-time.Minute))); err != nil {
		t.Fatal(err)
	}
	soon(t, "a board is not known", func() bool { _, err := a.Admitted("pi"); return err == nil })
	e.Stop()
	if _, err := a.Admitted("pi"); err != nil {
		t.Errorf("without etcd: %v", err)
	}
	if err := a.RevokeDevice("pi"); !errors.Is(err, fleet.ErrUnavailable) {
		t.Errorf("revoked without etcd: %v", err)
	}
	if _, err := a.Admitted("pi"); err == nil || a.dropsOf("pi") == 0 {
		t.Error("a revoked board is let in where it was revoked")
	}
	e.Start(t)
	soon(t, "a board that was revoked meanwhile is let in", func() bool { return b.dropsOf("pi") > 0 })
}

// A revocation holds also where the clock of the worker that revokes is behind that of the one
// that enrolled the board, and against what was written before it and is heard after it.
func TestRevokedByAClockBehind(t *testing.T) {
	t.Parallel()
	e, secret := fleettest.New(t), fleet.NewSecret()
	a, b := sharedBy(t, e, "a:1", secret), sharedBy(t, e, "b:1", secret)
	ahead := time.Now().UTC().Add(time.Hour)
	if err := a.PutDevice(enrolled("pi", 1, ahead)); err != nil {
		t.Fatal(err)
	}
	soon(t, "a board is not known", func() bool { _, err := b.Admitted("pi"); return err == nil })
	before, _, err := deviceBucket.Get(a.Store, "pi")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.RevokeDevice("pi"); err != nil {
		t.Fatal(err)
	}
	soon(t, "a board that was revoked by a clock behind keeps its connections", func() bool { return a.dropsOf("pi") > 0 })
	if err := a.takeDevice("pi", before); err != nil {
		t.Fatal(err)
	}
	c := sharedBy(t, e, "c:1", secret)
	for name, s := range map[string]*sharing{"a": a, "b": b, "c": c} {
		if _, err := s.Admitted("pi"); err == nil {
			t.Errorf("%s lets a revoked board in", name)
		}
	}

	if err := a.PutDevice(enrolled("hat", 1, ahead)); err != nil {
		t.Fatal(err)
	}
	soon(t, "a board is not known", func() bool { _, err := b.Admitted("hat"); return err == nil })
	if err := b.PutDevice(enrolled("hat", 2, time.Now())); err != nil {
		t.Fatal(err)
	}
	soon(t, "the key of a board that was enrolled anew is not known", func() bool {
		d, err := a.Device("hat")
		return err == nil && d.Key == [32]byte{2}
	})
}

// An etcd that was set up anew, and counts from the start, gets the ticket keys of a worker of
// before, which go on changing there.
func TestKeysOfAnEtcdAnew(t *testing.T) {
	t.Parallel()
	e, secret := fleettest.New(t), fleet.NewSecret()
	a := sharedBy(t, e, "a:1", secret)
	if err := a.DeviceStore.PutTicketKeys([][32]byte{{1}}); err != nil {
		t.Fatal(err)
	}
	a.sharedStore.mu.Lock()
	a.keys = 1 << 40 // of the etcd that was lost
	a.sharedStore.mu.Unlock()
	a.tellKeys(nil)
	b := sharedBy(t, e, "b:1", secret)
	if keys, err := b.TicketKeys(); err != nil || !slices.Equal(keys, [][32]byte{{1}}) {
		t.Errorf("keys %v, %v", keys, err)
	}
	if err := a.PutTicketKeys([][32]byte{{2}, {1}}); err != nil {
		t.Error(err)
	}
}

// A worker of another authority is refused, and whatever is not right is named by its flag.
func TestJoin(t *testing.T) {
	t.Parallel()
	e := fleettest.New(t)
	join := func(state string) error {
		r, store, err := openRegistry(state, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		m, err := joinFleet(Options{State: state, Worker: WorkerOptions{Fleet: []string{e.Endpoint}, Advertise: "a:1"}, Log: slog.New(slog.DiscardHandler)}, r, store)
		if err == nil {
			m.close()
		}
		return err
	}
	states := []string{t.TempDir(), t.TempDir()}
	for _, s := range states {
		if _, err := trust.CreateAuthority(s, nil, time.Now); err != nil {
			t.Fatal(err)
		}
	}
	if err := join(states[0]); err != nil {
		t.Fatal(err)
	}
	if err := join(states[1]); !errors.Is(err, fleet.ErrSealed) {
		t.Errorf("of another authority: %v", err)
	}
	for want, o := range map[string]WorkerOptions{
		"--advertise is for": {Advertise: "a:1"},
		"--fleet etcd:2379":  {Fleet: []string{"etcd:2379"}},
		"--fleet http://e:1": {Fleet: []string{"http://e:1"}},
		"--advertise a":      {Fleet: []string{"https://e:1"}, Advertise: "a"},
	} {
		if err := o.check(false); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// A worker takes the cloud's authority from the files that it was given, once, and no other one
// after that; a certificate made anew is used without a restart, and told of before it ends.
func TestFleetFiles(t *testing.T) {
	t.Parallel()
	first, second := t.TempDir(), t.TempDir()
	if _, err := trust.CreateAuthority(first, nil, time.Now); err != nil {
		t.Fatal(err)
	}
	dir, err := MakeFleetFiles(first, []string{"etcd1", "fd00::1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	o := WorkerOptions{Fleet: EtcdURLs([]string{"etcd1"}), Files: filepath.Join(dir, fleetShared)}
	if err := (&WorkerOptions{Fleet: o.Fleet}).adopt(second); !errors.Is(err, fs.ErrNotExist) || trust.Initialized(second) {
		t.Errorf("without the files: %v", err)
	}
	for range 2 {
		if err := o.adopt(second); err != nil {
			t.Fatal(err)
		}
	}
	one, err := trust.OpenAuthority(first, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	two, err := trust.OpenAuthority(second, time.Now)
	if err != nil || one.Fingerprint() != two.Fingerprint() {
		t.Errorf("the authority is another: %v", err)
	}
	other := t.TempDir()
	if _, err := trust.CreateAuthority(other, nil, time.Now); err != nil {
		t.Fatal(err)
	}
	if err := o.adopt(other); !errors.Is(err, trust.ErrExists) {
		t.Errorf("a worker of another authority joins: %v", err)
	}
	conf, err := o.tls(second)
	if err != nil {
		t.Fatal(err)
	}
	before, err := conf.GetClientCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if ends := o.expires(second); ending(ends, now) != "" || ending(ends, now.Add(fleetLife-expiring+time.Hour)) == "" || ending(time.Time{}, now) != "" {
		t.Errorf("it ends at %s", ends)
	}
	if _, err := MakeFleetFiles(first, nil, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	after, err := conf.GetClientCertificate(nil)
	if err != nil || !after.Leaf.NotAfter.After(before.Leaf.NotAfter) {
		t.Errorf("the new certificate is not used: %v", err)
	}
	env, err := os.ReadFile(filepath.Join(dir, fleetEtcd, "fd00::1.env"))
	if err != nil || !strings.Contains(string(env), "ETCD_INITIAL_CLUSTER=etcd1=https://etcd1:2380,fd00::1=https://[fd00::1]:2380\n") {
		t.Errorf("%v\n%s", err, env)
	}
}

// A worker and an etcd know each other by the certificates that are made for them, and a board's
// certificate opens no etcd. Made anew they are of the same authority.
func TestFleetCerts(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	if _, err := trust.CreateAuthority(state, nil, time.Now); err != nil {
		t.Fatal(err)
	}
	dir, err := MakeFleetFiles(state, []string{"127.0.0.1", "etcd-2.example"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	e := fleettest.NewTLS(t, file("etcd/ca.crt"), file("etcd/127.0.0.1.crt"), file("etcd/127.0.0.1.key"))
	if dir, err = MakeFleetFiles(state, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"worker/worker.key", "worker/ca.pem", fleetCAKey, "etcd/etcd-2.example.key"} {
		if info, err := os.Stat(file(name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	o := WorkerOptions{Fleet: []string{e.Endpoint}}
	conf, err := o.tls(state)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fleet.Join(fleet.Options{Endpoints: o.Fleet, TLS: conf, Secret: fleet.NewSecret(), Self: fleet.Worker{Address: "a:1"}, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := f.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := o.tls(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without certificates: %v", err)
	}
	if _, err := MakeFleetFiles(state, []string{"e:1"}, time.Now()); err == nil {
		t.Error("a host with a port is taken")
	}
	u, err := url.Parse(e.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	// TLS 1.3 tells a client without a certificate only when it reads.
	bare, err := tls.Dial("tcp", u.Host, &tls.Config{RootCAs: conf.RootCAs, MinVersion: tls.VersionTLS13})
	if err == nil {
		bare.SetDeadline(time.Now().Add(patience))
		_, err = bare.Read(make([]byte, 1))
		bare.Close()
	}
	if err == nil {
		t.Error("etcd takes whoever comes")
	}
}

// Keys of tickets are read as they were written, and nothing else is.
func FuzzSplitKeys(f *testing.F) {
	f.Add(joinKeys([][32]byte{{1}, {2}}))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if keys, err := splitKeys(b); err == nil && string(joinKeys(keys)) != string(b) {
			t.Errorf("%x became %x", b, joinKeys(keys))
		}
	})
}
