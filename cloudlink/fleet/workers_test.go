package fleet_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"skerry/build/testseed"
	"skerry/cloudlink"
	"skerry/cloudlink/fleet"
	"skerry/cloudlink/fleet/fleettest"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

const (
	width = 8
	vocab = 100
)

var bundle = wire.Hash{1, 2, 3}

// mutedConn is a UDP socket that hears and says nothing while it is muted, as that of a process
// that is stopped.
type mutedConn struct {
	net.PacketConn
	muted *atomic.Bool
}

func (c *mutedConn) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(p)
		if err != nil || !c.muted.Load() {
			return n, from, err
		}
	}
}

func (c *mutedConn) WriteTo(p []byte, to net.Addr) (int, error) {
	if c.muted.Load() {
		return len(p), nil
	}
	return c.PacketConn.WriteTo(p, to)
}

// world is an etcd and workers of one cloud, and a board.
type world struct {
	etcd    *fleettest.Etcd
	dir     string
	keys    sharedKeys
	quota   partition.Quota
	maxWait time.Duration
	// protocol is the newest that workers which are added and boards speak; 0: that of today.
	protocol uint32
	workers  []*worker
}

// worker is a cloud partition over real QUIC on loopback.
type worker struct {
	fleet  *fleet.Fleet
	server *partition.Server
	sock   *mutedConn
	stop   func()
}

// sharedKeys are ticket keys that all workers have.
type sharedKeys struct {
	mu   sync.Mutex
	keys [][32]byte
}

func (k *sharedKeys) TicketKeys() ([][32]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.keys), nil
}

func (k *sharedKeys) PutTicketKeys(keys [][32]byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = slices.Clone(keys)
	return nil
}

func newWorld(t *testing.T, n int, change ...func(*fleet.Options)) *world {
	w := &world{etcd: fleettest.New(t), dir: t.TempDir()}
	for range n {
		w.add(t, change...)
	}
	knows(t, n, w.fleets()...)
	return w
}

func (w *world) fleets() (all []*fleet.Fleet) {
	for _, o := range w.workers {
		all = append(all, o.fleet)
	}
	return all
}

func (w *world) add(t *testing.T, change ...func(*fleet.Options)) *worker {
	t.Helper()
	sock, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &worker{sock: &mutedConn{sock, new(atomic.Bool)}}
	serverTLS, _, err := cloudlink.DevTLS(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := transport.ListenOptions{TicketKeys: &w.keys}.ListenOn(o.sock, serverTLS)
	if err != nil {
		t.Fatal(err)
	}
	var server atomic.Pointer[partition.Server]
	o.fleet, _ = join(t, w.etcd, sock.LocalAddr().String(), func(opt *fleet.Options) {
		opt.Self.Stages = []fleet.Stage{{Bundle: hexOf(bundle), Weight: 16}}
		opt.Lost = func(device, _ string) {
			if s := server.Load(); s != nil {
				s.Moved(device)
			}
		}
		for _, f := range change {
			f(opt)
		}
	})
	o.server, err = partition.NewServer(partition.Config{
		Bundles: []partition.Bundle{{ID: bundle, Name: "fake", Stage: fakestage.New(width, vocab, 8, 4096, 64), Whole: fakestage.Whole{Stage: fakestage.New(1, vocab, 8, 4096, 64)}}}, Protocol: w.protocol,
		Owners: fleet.Owners{Fleet: o.fleet}, Quotas: fleet.Owners{Fleet: o.fleet}, Quota: w.quota, MaxWait: w.maxWait,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)).With("worker", sock.LocalAddr().String()),
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Store(o.server)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- o.server.Serve(ctx, ln) }()
	o.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		ln.Close()
		sock.Close()
	})
	t.Cleanup(o.stop)
	w.workers = append(w.workers, o)
	return o
}

func hexOf(h wire.Hash) string {
	const digits = "0123456789abcdef"
	var b []byte
	for _, c := range h {
		b = append(b, digits[c>>4], digits[c&15])
	}
	return string(b)
}

func (o *worker) addr() string { return o.sock.LocalAddr().String() }

// at is the worker with an address.
func (w *world) at(t *testing.T, addr string) *worker {
	t.Helper()
	for _, o := range w.workers {
		if o.addr() == addr {
			return o
		}
	}
	t.Fatalf("no worker at %s", addr)
	return nil
}

// memory numbers connections and keeps tickets.
type memory struct {
	mu      sync.Mutex
	epoch   uint64
	tickets map[string][][]byte
}

func (m *memory) NextEpoch() (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	return m.epoch, nil
}

func (m *memory) JumpEpoch(past uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch = max(m.epoch, past)
	return nil
}

func (m *memory) ResetEpoch(past uint64) error { return m.JumpEpoch(past) }

func (m *memory) PutTicket(cloud string, ticket []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tickets[cloud] = append(m.tickets[cloud], slices.Clone(ticket))
	return nil
}

func (m *memory) TakeTicket(cloud string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.tickets[cloud]
	if len(all) == 0 {
		return nil, nil
	}
	m.tickets[cloud] = all[:len(all)-1]
	return all[len(all)-1], nil
}

// board is a link with a session whose answers are checked against all that was appended.
type board struct {
	t      *testing.T
	link   *cloudlink.Link
	s      *cloudlink.Session
	rng    *rand.Rand
	hidden []float32
	kept   *memory
}

func (w *world) board(t *testing.T, addrs ...string) *board {
	t.Helper()
	return w.boardThat(t, 0, addrs...)
}

// boardThat is a board whose dials to a silent worker end after some time, 0 for the default.
func (w *world) boardThat(t *testing.T, gives time.Duration, addrs ...string) *board {
	t.Helper()
	_, tls, err := cloudlink.DevTLS(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	b := &board{t: t, rng: testseed.Rand(t), kept: &memory{tickets: map[string][][]byte{}}}
	b.link = cloudlink.NewLink(cloudlink.LinkConfig{
		Config:    cloudlink.Config{Addr: addrs[0], TLS: tls, Protocol: w.protocol, Epochs: b.kept, Tickets: b.kept, Handshake: gives, Log: slog.New(slog.NewTextHandler(t.Output(), nil)).With("side", "board")},
		Addrs:     addrs,
		Transport: cloudlink.TransportQUIC,
	})
	t.Cleanup(func() { b.link.Close() })
	b.link.Want(bundle)
	if b.s, err = b.link.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: bundle, Width: width, Context: 4096}); err != nil {
		t.Fatal(err)
	}
	return b
}

// say appends rows and asks for the last until a worker has answered: the answer depends on
// every row and their order.
func (b *board) say(n int) {
	b.t.Helper()
	b.append(n)
	deadline := time.Now().Add(patience)
	for {
		a, err := b.s.Ask(b.t.Context(), len(b.hidden)/width-1, 0)
		if err == nil {
			if want := fakestage.Expect(b.hidden, width, vocab); !slices.Equal(a.Row, want) {
				b.t.Fatalf("after %d rows: another answer than without a fleet", len(b.hidden)/width)
			}
			return
		}
		if !errors.Is(err, cloudlink.ErrLost) && !errors.Is(err, cloudlink.ErrNotOwner) && !errors.Is(err, cloudlink.ErrBusy) {
			b.t.Fatal(err)
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("no answer: %v; link %+v", err, b.link.Status())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (b *board) append(n int) {
	b.t.Helper()
	for range n {
		row := make([]float32, width)
		for i := range row {
			row[i] = b.rng.Float32()
		}
		if err := b.s.Append(len(b.hidden)/width, row); err != nil {
			b.t.Fatal(err)
		}
		b.hidden = append(b.hidden, row...)
	}
}

// where waits until the board is connected, and returns where.
func (b *board) where() (addr string) {
	b.t.Helper()
	eventually(b.t, func() bool {
		st := b.link.Status()
		addr = st.Addr
		return st.Connected
	})
	return addr
}

// owner is the worker that has a claim; there is one alone.
func (w *world) owner(t *testing.T) (addr string) {
	t.Helper()
	eventually(t, func() bool {
		addr = ""
		for _, o := range w.workers {
			if len(o.fleet.Claims()) > 0 {
				if addr != "" {
					return false
				}
				addr = o.addr()
			}
		}
		return addr != ""
	})
	return addr
}

// A board finds the worker that it belongs to from any of them, and goes on at another when that
// one drains, falls silent or is stopped, with the same answers.
func TestBoardMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	for _, o := range w.workers { // a board that knows of one worker alone
		b := w.board(t, o.addr())
		b.say(3)
		if got, want := b.where(), w.owner(t); got != want {
			t.Errorf("the board is at %s, and belongs to %s", got, want)
		}
		b.link.Close()
	}
	for _, o := range w.workers { // who is sent elsewhere has sent nothing wrong
		if st := o.server.Stats(); st.BadFrames != 0 {
			t.Errorf("%d bad frames at %s", st.BadFrames, o.addr())
		}
	}
	b := w.board(t, w.workers[0].addr())
	b.say(20)
	first := w.at(t, b.where())
	t.Log("drain")
	first.fleet.Update(func(o *fleet.Worker) { o.Draining = true })
	first.server.Drain(t.Context(), patience)
	b.say(3)
	second := w.at(t, b.where())
	if second == first {
		t.Fatal("the board stays at a worker that stops")
	}
	b.say(20)
	t.Log("silence")
	second.sock.muted.Store(true)
	b.say(5)
	third := w.at(t, b.where())
	if third == second || third == first {
		t.Fatal("the board is not at the third worker")
	}
	second.sock.muted.Store(false) // what was stopped goes on: it has lost the board
	eventually(t, func() bool { return len(second.fleet.Claims()) == 0 })
	b.say(5)
	if got := b.where(); got != third.addr() {
		t.Errorf("the board has gone from %s to %s", third.addr(), got)
	}
	t.Log("killed")
	third.stop()
	b.say(5)
	if got := b.where(); got != second.addr() {
		t.Errorf("the board is at %s, %s alone takes it", got, second.addr())
	}
}

// While etcd is away a board stays, and comes back where it was.
func TestBoardWithoutEtcd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, func(o *fleet.Options) { o.TTL, o.Patience = time.Second, 300*time.Millisecond })
	b, only := w.board(t, w.workers[0].addr()), w.workers[0]
	b.say(3)
	b.where()
	w.etcd.Stop()
	b.say(3)
	eventually(t, func() bool { return !only.fleet.Status().Connected })
	b.say(3)
	before := b.link.Status().Reconnects
	only.sock.muted.Store(true)
	b.append(1)
	eventually(t, func() bool {
		b.s.Ask(t.Context(), len(b.hidden)/width-1, 1)
		return !b.link.Status().Connected
	})
	only.sock.muted.Store(false)
	b.say(3)
	eventually(t, func() bool { return b.link.Status().Reconnects > before })
	w.etcd.Start(t)
	eventually(t, func() bool { return only.fleet.Status().Connected })
	b.say(3)
}

// A worker with an older claim than the board has seen is left alone.
func TestOldClaimIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serverTLS, _, err := cloudlink.DevTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{dir: dir}
	var claims [2]atomic.Uint64
	var refused atomic.Int64
	claims[0].Store(10)
	claims[1].Store(5)
	var socks [2]*mutedConn
	var addrs []string
	for i := range socks {
		sock, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		socks[i] = &mutedConn{sock, new(atomic.Bool)}
		addrs = append(addrs, sock.LocalAddr().String())
		ln, err := transport.ListenOptions{TicketKeys: &w.keys}.ListenOn(socks[i], serverTLS)
		if err != nil {
			t.Fatal(err)
		}
		server, err := partition.NewServer(partition.Config{
			Bundles: []partition.Bundle{{ID: bundle, Name: "fake", Stage: fakestage.New(width, vocab, 8, 4096, 64)}},
			Owners:  fixedClaim{&claims[i], &refused},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- server.Serve(ctx, ln) }()
		t.Cleanup(func() { cancel(); <-served; ln.Close(); sock.Close() })
	}
	b := w.boardThat(t, time.Second, addrs...)
	b.say(3)
	if got := b.where(); got != addrs[0] {
		t.Fatalf("the board is at %s", got)
	}
	socks[0].muted.Store(true)
	claims[1].Store(9)
	b.append(1)
	eventually(t, func() bool {
		b.s.Ask(t.Context(), len(b.hidden)/width-1, 1) // has the link dial
		if b.link.Status().Connected && b.link.Status().Addr != addrs[0] {
			t.Fatal("the board is at a worker with an older claim")
		}
		return refused.Load() > 0
	})
	claims[1].Store(11)
	b.say(1)
	if got := b.where(); got != addrs[1] {
		t.Errorf("the board is at %s", got)
	}
}

// fixedClaim counts how often it was asked with an old claim.
type fixedClaim struct {
	n   *atomic.Uint64
	old *atomic.Int64
}

func (f fixedClaim) Claim(context.Context, string, string, wire.Moves) (uint64, *wire.Error) {
	if n := f.n.Load(); n != 9 {
		return n, nil
	}
	f.old.Add(1)
	return 9, nil
}
func (f fixedClaim) Others(string) []string { return nil }

// A ticket of one worker resumes at another.
func TestTicketsOfAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	b := w.board(t, w.workers[0].addr(), w.workers[1].addr())
	b.say(3)
	here := w.at(t, b.where())
	eventually(t, func() bool {
		b.kept.mu.Lock()
		defer b.kept.mu.Unlock()
		return len(b.kept.tickets[here.addr()]) > 0
	})
	b.kept.mu.Lock()
	for _, o := range w.workers {
		b.kept.tickets[o.addr()] = b.kept.tickets[here.addr()]
	}
	b.kept.mu.Unlock()
	here.fleet.Update(func(o *fleet.Worker) { o.Draining = true })
	here.server.Drain(t.Context(), patience)
	b.say(3)
	if b.where() == here.addr() {
		t.Fatal("the board stays at a worker that stops")
	}
	if c := b.link.Client(); c == nil || !c.Used0RTT() {
		t.Error("the first flight was not taken by the other worker")
	}
}
