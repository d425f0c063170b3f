package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	etcd "go.etcd.io/etcd/client/v3"

	"skerry/build/testleak"
	"skerry/cloudlink/fleet"
	"skerry/cloudlink/fleet/fleettest"
	"skerry/cloudlink/wire"
)

func TestMain(m *testing.M) {
	if !runChild() {
		testleak.Main(m)
	}
}

// patience is a safety net, no assertion: a machine with other things to do may stop for many
// seconds.
const patience = 2 * time.Minute

var secret = fleet.NewSecret()

// lost is what a worker heard of boards that others took.
type lost struct {
	mu  sync.Mutex
	all []string
}

func (l *lost) add(device, owner string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, device+" to "+owner)
}

func (l *lost) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.all, s)
}

func join(t *testing.T, e *fleettest.Etcd, address string, change ...func(*fleet.Options)) (*fleet.Fleet, *lost) {
	t.Helper()
	l := new(lost)
	opt := fleet.Options{
		Endpoints: []string{e.Endpoint}, Secret: secret, TTL: patience, Patience: patience, Lost: l.add,
		Self: fleet.Worker{Address: address, Stages: []fleet.Stage{{Bundle: "b", Weight: 16}}},
		Log:  slog.New(slog.NewTextHandler(t.Output(), nil)).With("worker", address),
	}
	for _, f := range change {
		f(&opt)
	}
	f, err := fleet.Join(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := f.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return f, l
}

// knows waits until each worker knows of n.
func knows(t *testing.T, n int, all ...*fleet.Fleet) {
	t.Helper()
	for _, f := range all {
		eventually(t, func() bool { return len(f.Status().Workers) == n })
	}
}

func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func claimed(t *testing.T, f *fleet.Fleet, device string, moves wire.Moves) int64 {
	t.Helper()
	revision, err := f.Claim(t.Context(), device, "b", moves)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func refusedTo(t *testing.T, f *fleet.Fleet, device string, moves wire.Moves, owner string) {
	t.Helper()
	var not *fleet.NotOwnerError
	if _, err := f.Claim(t.Context(), device, "b", moves); !errors.As(err, &not) || not.Owner != owner {
		t.Fatalf("claimed by another: %v, want that it belongs to %s", err, owner)
	}
}

// A board belongs to one worker: others send it there, unless it cannot follow or cannot reach
// that one; then the token is higher, and the first hears of it. One that drains or has left
// keeps nobody.
func TestClaims(t *testing.T) {
	t.Parallel()
	e := fleettest.New(t)
	a, lostA := join(t, e, "a:1")
	b, _ := join(t, e, "b:1")
	knows(t, 2, a, b)
	first := claimed(t, a, "pi", wire.MovesNot)
	if again := claimed(t, a, "pi", wire.Follows); again != first {
		t.Errorf("claimed again: %d after %d", again, first)
	}
	refusedTo(t, b, "pi", wire.Follows, "a:1")
	refusedTo(t, b, "pi", wire.WasSent, "a:1")
	taken := claimed(t, b, "pi", wire.TakesOver)
	if taken <= first {
		t.Errorf("the new claim %d is not above the old one %d", taken, first)
	}
	eventually(t, func() bool { return lostA.has("pi to b:1") })
	refusedTo(t, a, "pi", wire.Follows, "b:1")
	if third := claimed(t, a, "pi", wire.MovesNot); third <= taken {
		t.Errorf("the third claim %d is not above the second one %d", third, taken)
	}

	a.Update(func(w *fleet.Worker) { w.Draining = true })
	eventually(t, func() bool {
		return slices.ContainsFunc(b.Status().Workers, func(w fleet.Worker) bool { return w.Draining })
	})
	claimed(t, b, "pi", wire.Follows)
	refusedTo(t, a, "other", wire.Follows, "b:1")
	if got := a.Others("pi"); !slices.Equal(got, []string{"b:1"}) {
		t.Errorf("others: %v", got)
	}
	claimed(t, a, "left", wire.MovesNot)
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	knows(t, 1, b)
	claimed(t, b, "left", wire.Follows)
	if got := b.Status(); got.Claims != 2 || !got.Connected || got.Err != nil {
		t.Errorf("status %+v", got)
	}
	if err := b.Release(t.Context(), "left", func() bool { return true }); err != nil {
		t.Error(err)
	}
	if got := b.Claims(); !slices.Equal(got, []string{"pi"}) {
		t.Errorf("claims %v", got)
	}
}

// A board that has gone is given up, and one that comes back in time keeps its claim or gets a
// higher one: nobody else can have it while it is connected. What workers told one another of
// boards that were taken does not stay.
func TestRelease(t *testing.T) {
	t.Parallel()
	e := fleettest.New(t)
	a, lostA := join(t, e, "a:1")
	b, _ := join(t, e, "b:1")
	knows(t, 2, a, b)
	raw, err := etcd.New(etcd.Config{Endpoints: []string{e.Endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	count := func(prefix string) int64 {
		got, err := raw.Get(t.Context(), "/skerry/1/"+prefix, etcd.WithPrefix(), etcd.WithCountOnly())
		if err != nil {
			t.Fatal(err)
		}
		return got.Count
	}
	first := claimed(t, a, "pi", wire.MovesNot)
	if err := a.Release(t.Context(), "pi", func() bool { return false }); err != nil || count("claims/") != 1 {
		t.Errorf("%v; a board that is there was given up", err)
	}
	// It comes back again and again while it is being given up.
	for range 20 {
		var revision int64
		var wg sync.WaitGroup
		back := make(chan struct{})
		wg.Go(func() {
			if err := a.Release(t.Context(), "pi", func() bool {
				select {
				case <-back:
					return false
				default:
					return true
				}
			}); err != nil {
				t.Error(err)
			}
		})
		close(back) // before it claims
		revision = claimed(t, a, "pi", wire.MovesNot)
		wg.Wait()
		if got := claimed(t, a, "pi", wire.Follows); got != revision || revision < first {
			t.Fatalf("claim %d after %d, which followed %d", got, revision, first)
		}
		refusedTo(t, b, "pi", wire.Follows, "a:1")
		first = revision
	}
	if err := a.Release(t.Context(), "pi", func() bool { return true }); err != nil || count("claims/") != 0 || a.Status().Released == 0 {
		t.Errorf("%v; %d claims are left", err, count("claims/"))
	}
	if other := claimed(t, b, "pi", wire.MovesNot); other <= first {
		t.Errorf("claim %d after %d", other, first)
	}
	claimed(t, a, "pi", wire.TakesOver)
	claimed(t, b, "pi", wire.TakesOver)
	eventually(t, func() bool { return lostA.has("pi to b:1") && count("taken/") == 0 })
}

// A board goes where its bundle is served: from a worker that has claimed it and does not serve
// it, and past an owner that does not. One whose bundle nobody serves stays where it is.
func TestBundleElsewhere(t *testing.T) {
	t.Parallel()
	e := fleettest.New(t)
	a, _ := join(t, e, "a:1")
	b, _ := join(t, e, "b:1", func(o *fleet.Options) {
		o.Self.Stages = []fleet.Stage{{Bundle: "b", Weight: 16}, {Bundle: "newer", Weight: 16}}
	})
	knows(t, 2, a, b)
	claimed(t, a, "pi", wire.MovesNot)
	for _, bundle := range []string{"b", "of nobody"} {
		if _, err := a.Claim(t.Context(), "pi", bundle, wire.Follows); err != nil {
			t.Errorf("%s: %v", bundle, err)
		}
	}
	var not *fleet.NotOwnerError
	if _, err := b.Claim(t.Context(), "pi", "of nobody", wire.Follows); !errors.As(err, &not) || not.Owner != "a:1" {
		t.Errorf("a bundle of nobody: %v", err)
	}
	if _, err := a.Claim(t.Context(), "pi", "newer", wire.Follows); !errors.As(err, &not) || not.Owner != "b:1" {
		t.Fatalf("a newer bundle: %v", err)
	}
	if _, err := b.Claim(t.Context(), "pi", "newer", wire.WasSent); err != nil {
		t.Fatal(err)
	}
	refusedTo(t, a, "pi", wire.Follows, "b:1")
}

// A board that nobody has goes to one worker, whichever it asks, and stays where it was sent.
func TestPlacedAlike(t *testing.T) {
	t.Parallel()
	e := fleettest.New(t)
	a, _ := join(t, e, "a:1")
	b, _ := join(t, e, "b:1")
	knows(t, 2, a, b)
	at := map[string]int{}
	for _, device := range []string{"d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8", "d9", "d10", "d11", "d12"} {
		_, err := a.Claim(t.Context(), device, "b", wire.Follows)
		var not *fleet.NotOwnerError
		switch {
		case err == nil:
			refusedTo(t, b, device, wire.Follows, "a:1")
			at["a:1"]++
		case errors.As(err, &not) && not.Owner == "b:1":
			claimed(t, b, device, wire.WasSent)
			at["b:1"]++
		default:
			t.Fatal(err)
		}
	}
	if len(at) != 2 {
		t.Errorf("all boards went to one worker: %v", at)
	}
}

// While etcd is away what was claimed stays, and nothing new is; once it is back it goes on by
// itself.
func TestEtcdAway(t *testing.T) {
	t.Parallel()
	e := fleettest.New(t)
	a, _ := join(t, e, "a:1", func(o *fleet.Options) { o.TTL, o.Patience = 2*time.Second, 300*time.Millisecond })
	var own int64
	eventually(t, func() (ok bool) {
		var err error
		own, err = a.Claim(t.Context(), "pi", "b", wire.MovesNot)
		return err == nil
	})
	e.Stop()
	eventually(t, func() bool { st := a.Status(); return !st.Connected && st.Err != nil })
	if got := claimed(t, a, "pi", wire.Follows); got < own {
		t.Errorf("its own claim is %d, and was %d", got, own)
	}
	if _, err := a.Claim(t.Context(), "new", "b", wire.MovesNot); !errors.Is(err, fleet.ErrUnavailable) {
		t.Errorf("a new claim: %v", err)
	}
	e.Start(t)
	eventually(t, func() bool {
		_, err := a.Claim(t.Context(), "new", "b", wire.MovesNot)
		return err == nil && a.Status().Connected
	})
	if got := a.Claims(); !slices.Equal(got, []string{"new", "pi"}) {
		t.Errorf("claims %v", got)
	}
}

// A worker whose lease ran out while it did not run comes back: what another has claimed
// meanwhile it has lost, with a lower token, and what nobody has is its own again.
func TestPausedWorker(t *testing.T) {
	t.Parallel()
	e := fleettest.New(t)
	a, lostA := join(t, e, "a:1")
	b, _ := join(t, e, "b:1")
	knows(t, 2, a, b)
	before := claimed(t, a, "pi", wire.MovesNot)
	idle := []string{"idle"}
	for i := range 100 {
		idle = append(idle, fmt.Sprintf("idle%03d", i))
	}
	for _, device := range idle {
		claimed(t, a, device, wire.MovesNot)
	}
	raw, err := etcd.New(etcd.Config{Endpoints: []string{e.Endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	var leaseA int64
	for _, w := range a.Status().Workers {
		if w.Address == "a:1" {
			leaseA = w.Lease
		}
	}
	if _, err := raw.Revoke(t.Context(), etcd.LeaseID(leaseA)); err != nil {
		t.Fatal(err)
	}
	after := claimed(t, b, "pi", wire.MovesNot)
	if after <= before {
		t.Errorf("the new claim %d is not above the old one %d", after, before)
	}
	a.Update(func(w *fleet.Worker) { w.Version = "2" }) // has it look at its lease
	eventually(t, func() bool { return lostA.has("pi to b:1") })
	eventually(t, func() bool {
		all, err := raw.Get(t.Context(), "/skerry/1/claims/", etcd.WithPrefix(), etcd.WithCountOnly())
		return err == nil && all.Count == int64(len(idle)+1) && slices.Equal(a.Claims(), idle)
	})
	eventually(t, func() bool { // who does not know that a worker is back takes what it claims
		return slices.ContainsFunc(b.Status().Workers, func(w fleet.Worker) bool { return w.Address == "a:1" && w.Lease != leaseA })
	})
	refusedTo(t, b, "idle", wire.Follows, "a:1")
	refusedTo(t, a, "pi", wire.Follows, "b:1")
}

// An etcd that was lost and set up anew counts its changes from the start: what it has, and what
// changes in it, a worker of before hears too.
func TestEtcdAnew(t *testing.T) {
	t.Parallel()
	e := fleettest.New(t)
	a, _ := join(t, e, "a:1")
	defer a.Close() // while there is an etcd
	r := fleet.Record{Kind: "device", Name: "old"}
	for i := range 30 {
		r.Value = []byte{byte(i)}
		var err error
		if r.Revision, err = a.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	heard := make(chan string, 100)
	a.Follow("device", func(all []fleet.Record) {
		for _, r := range all {
			heard <- r.Name
		}
	}, func(r fleet.Record) { heard <- r.Name })
	if name := <-heard; name != "old" {
		t.Fatal(name)
	}
	e.Stop()
	lost := &fleettest.Etcd{Endpoint: e.Endpoint}
	lost.Start(t)
	t.Cleanup(lost.Stop)
	b, _ := join(t, lost, "b:1")
	if _, err := b.Put(t.Context(), fleet.Record{Kind: "device", Name: "new", Value: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	n := 0
	eventually(t, func() bool {
		n++
		a.Update(func(w *fleet.Worker) { w.Version = []string{"1", "2"}[n%2] }) // has it look at its lease
		select {
		case name := <-heard:
			return name == "new"
		default:
			return false
		}
	})
}

// What one worker writes all have, and nobody without the secret; of two changes to the same
// record one is refused.
func TestShared(t *testing.T) {
	t.Parallel()
	e := fleettest.New(t)
	a, _ := join(t, e, "a:1")
	b, _ := join(t, e, "b:1")
	stranger, _ := join(t, e, "c:1", func(o *fleet.Options) { o.Secret = fleet.NewSecret() })
	var mu sync.Mutex
	seen := map[string]string{}
	note := func(r fleet.Record) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.Name] = string(r.Value)
	}
	b.Follow("device", func(all []fleet.Record) {
		for _, r := range all {
			note(r)
		}
	}, note)
	has := func(name, value string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			got, ok := seen[name]
			return ok && got == value
		}
	}
	rev, err := a.Put(t.Context(), fleet.Record{Kind: "device", Name: "pi/1", Value: []byte("one")})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, has("pi/1", "one"))
	if _, err := b.Put(t.Context(), fleet.Record{Kind: "device", Name: "pi/1", Value: []byte("two")}); !errors.Is(err, fleet.ErrChanged) {
		t.Errorf("made twice: %v", err)
	}
	if r, err := b.Get(t.Context(), "device", "pi/1"); err != nil || string(r.Value) != "one" || r.Revision != rev {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := stranger.Get(t.Context(), "device", "pi/1"); !errors.Is(err, fleet.ErrSealed) {
		t.Errorf("read without the secret: %v", err)
	}
	if _, err := b.Put(t.Context(), fleet.Record{Kind: "device", Name: "pi/1", Revision: rev}); err != nil {
		t.Error(err)
	}
	eventually(t, has("pi/1", ""))
	if all, err := a.All(t.Context(), "device"); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}
