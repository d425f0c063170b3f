package cloudlink_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/internal/notify"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// earlyWorld is a board, a cloud that may restart, and somebody who sees and
// sends packets, 50 ms apart in virtual time.
type earlyWorld struct {
	t         *testing.T
	serverTLS *tls.Config
	clientTLS *tls.Config
	router    *tapRouter
	board     net.PacketConn
	cloud     net.PacketConn
	stranger  net.PacketConn
	store     *toyStore // the board's
	keys      *toyStore // the cloud's
	stage     *fakestage.Stage
	server    *partition.Server
	log       lockedBuffer
	clock     func() time.Time
	keeper    partition.Keeper // nil: the cloud keeps nothing in files
}

var earlyBundle = wire.Hash{7}

// lasting is a socket that outlives who uses it.
type lasting struct{ *simnet.SimConn }

func (lasting) Close() error { return nil }

// tapRouter notes every packet on its way to the cloud.
type tapRouter struct {
	simnet.PerfectRouter
	mu   sync.Mutex
	up   []simnet.Packet
	drop func(simnet.Packet) bool
}

func (r *tapRouter) SendPacket(p simnet.Packet) error {
	r.mu.Lock()
	drop := r.drop != nil && r.drop(p)
	if p.To.String() == "192.0.2.2:2" && p.From.String() == "192.0.2.1:1" {
		r.up = append(r.up, simnet.Packet{To: p.To, From: p.From, Data: bytes.Clone(p.Data)})
	}
	r.mu.Unlock()
	if drop {
		return nil
	}
	return r.PerfectRouter.SendPacket(p)
}

// taken returns and forgets what the board has sent.
func (r *tapRouter) taken() []simnet.Packet {
	r.mu.Lock()
	defer r.mu.Unlock()
	up := r.up
	r.up = nil
	return up
}

func (r *tapRouter) dropping(f func(simnet.Packet) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop = f
}

type lockedBuffer struct {
	changed notify.Broadcast
	mu      sync.Mutex // guards b
	b       bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.changed.Announce()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) contains(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.b.Bytes(), []byte(s))
}

func inEarlyWorld(t *testing.T, f func(t *testing.T, w *earlyWorld)) {
	dir := t.TempDir()
	serverTLS, clientTLS, err := cloudlink.DevTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		router := &tapRouter{}
		sim := &simnet.Simnet{Router: router}
		far := simnet.NodeBiDiLinkSettings{
			Latency: oneWay, Uplink: simnet.LinkSettings{MTU: 1452}, Downlink: simnet.LinkSettings{MTU: 1452},
		}
		at := func(host byte, port int) *simnet.SimConn {
			return sim.NewEndpoint(&net.UDPAddr{IP: net.IPv4(192, 0, 2, host), Port: port}, far)
		}
		board, cloud, stranger := at(1, 1), at(2, 2), at(3, 3)
		if err := sim.Start(); err != nil {
			t.Fatal(err)
		}
		defer sim.Close()
		for _, c := range []*simnet.SimConn{board, cloud, stranger} {
			defer c.Close()
		}
		f(t, &earlyWorld{
			t: t, serverTLS: serverTLS, clientTLS: clientTLS, router: router,
			board: lasting{board}, cloud: lasting{cloud}, stranger: stranger,
			store: openToyStore(""), keys: openToyStore(""),
			stage: fakestage.New(8, 100, 8, 4096, 2048),
		})
	})
}

// serving has server answer ln until the function returned is called.
func serving(t *testing.T, server *partition.Server, ln transport.Listener) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- server.Serve(ctx, ln) }()
	return func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// serve starts the cloud; the function returned stops it.
func (w *earlyWorld) serve() (stop func()) {
	w.t.Helper()
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	ln, err := transport.ListenOptions{TicketKeys: w.keys, Log: log}.ListenOn(w.cloud, w.serverTLS)
	if err != nil {
		w.t.Fatal(err)
	}
	w.server, err = partition.NewServer(partition.Config{
		Bundles: []partition.Bundle{{ID: earlyBundle, Stage: w.stage}}, Log: log, Devices: w.keys, Keeper: w.keeper,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	end := serving(w.t, w.server, ln)
	return sync.OnceFunc(func() {
		end()
		ln.Close()
	})
}

func (w *earlyWorld) dial() *cloudlink.Client {
	w.t.Helper()
	c, err := cloudlink.Dial(w.t.Context(), cloudlink.Config{
		Addr: "192.0.2.2:2", TLS: w.clientTLS, Socket: w.board, Time: w.clock,
		Tickets: w.store, Epochs: w.store, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *earlyWorld) open(c *cloudlink.Client) *cloudlink.Session {
	w.t.Helper()
	s, err := c.OpenSession(w.t.Context(), cloudlink.SessionOptions{Bundle: earlyBundle, Width: 8, Context: 1024})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// say sends n rows from pos on in a session of c and wants the answer after
// the last, which must be right.
func (w *earlyWorld) say(c *cloudlink.Client, n int) {
	w.t.Helper()
	w.sayIn(w.open(c), n)
}

func (w *earlyWorld) sayIn(s *cloudlink.Session, n int) {
	w.t.Helper()
	hidden := make([]float32, 8*n)
	for i := range hidden {
		hidden[i] = float32(i)
	}
	if err := s.Append(0, hidden); err != nil {
		w.t.Fatal(err)
	}
	a, err := s.Ask(w.t.Context(), n-1, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	if !slices.Equal(a.Row, fakestage.Expect(hidden, 8, 100)) {
		w.t.Fatal("the answer is wrong")
	}
}

// within fails unless the virtual time since start is n round trips, with 5 %
// for what is no round trip.
func (w *earlyWorld) within(start time.Time, n int, what string) {
	w.t.Helper()
	if d := time.Since(start); d < time.Duration(n)*rtt || d > time.Duration(n)*rtt+rtt/20 {
		w.t.Errorf("%s took %v of virtual time, want %d round trips", what, d, n)
	}
}

// visit connects, says something, waits for the next ticket and leaves.
func (w *earlyWorld) visit() {
	w.t.Helper()
	c := w.dial()
	w.say(c, 3)
	time.Sleep(3 * rtt)
	c.Close()
}

// visitAtOnce is a visit whose answer after n rows comes after one round trip.
func (w *earlyWorld) visitAtOnce(n int, what string) {
	w.t.Helper()
	start := time.Now()
	c := w.dial()
	w.say(c, n)
	w.within(start, 1, what)
	time.Sleep(3 * rtt)
	c.Close()
}
