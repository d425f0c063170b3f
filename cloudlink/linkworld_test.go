package cloudlink_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// cutRouter is a network that can be cut.
type cutRouter struct {
	simnet.PerfectRouter
	cut     atomic.Bool
	drop    atomic.Pointer[func(simnet.Packet) bool]
	packets atomic.Int64 // that came to it, dropped ones included
	bytes   atomic.Int64
}

func (r *cutRouter) SendPacket(p simnet.Packet) error {
	r.packets.Add(1)
	r.bytes.Add(int64(len(p.Data)))
	if drop := r.drop.Load(); r.cut.Load() || drop != nil && (*drop)(p) {
		return nil
	}
	return r.PerfectRouter.SendPacket(p)
}

// linkWorld is a board with a Link and a cloud with a fake stage, in virtual
// time.
type linkWorld struct {
	router *cutRouter
	server *partition.Server
	stop   func() // ends the server's context
	conf   cloudlink.LinkConfig
	bundle wire.Hash
	// networks tells of changes when the test does.
	networks *fakeNetworks

	mu     sync.Mutex // guards all following
	events []cloudlink.Event
}

// observe records events.
func (w *linkWorld) observe(e cloudlink.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// seen returns the times of events of one kind.
func (w *linkWorld) seen(kind cloudlink.EventKind) (at []time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind == kind {
			at = append(at, e.At)
		}
	}
	return at
}

// memory is a store of epochs, tickets, bytes and statuses.
type memory struct {
	mu       sync.Mutex // guards all following
	epoch    uint64
	tickets  [][]byte
	month    string
	up, down uint64
	statuses [][]byte
	address  string
}

func (m *memory) LastAddress() (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.address, nil
}

func (m *memory) SaveAddress(addr string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.address = addr
	return nil
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

func (m *memory) ResetEpoch(past uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch = past
	return nil
}

func (m *memory) PutTicket(_ string, t []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tickets = append(m.tickets, slices.Clone(t))
	return nil
}

func (m *memory) TakeTicket(string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.tickets) == 0 {
		return nil, nil
	}
	t := m.tickets[len(m.tickets)-1]
	m.tickets = m.tickets[:len(m.tickets)-1]
	return t, nil
}

func (m *memory) LoadBytes() (string, uint64, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.month, m.up, m.down, nil
}

func (m *memory) SaveBytes(month string, up, down uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.month, m.up, m.down = month, up, down
	return nil
}

func (m *memory) RaiseEpoch(_ string, epoch uint64) (uint64, bool, error) { return epoch, true, nil }
func (m *memory) Admitted(string) (string, error)                         { return "text", nil }

func (m *memory) SawDevice(_ string, status []byte, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.statuses = append(m.statuses, slices.Clone(status))
	return nil
}

func (m *memory) seen() [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.statuses)
}

// inLinkWorld runs f in virtual time with a link whose round trip is given.
func inLinkWorld(t *testing.T, rtt time.Duration, f func(t *testing.T, w *linkWorld), change ...func(*partition.Config)) {
	serverTLS, clientTLS, err := cloudlink.DevTLS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w, ln := newLinkWorld(t, rtt/2, serverTLS, clientTLS)
		conf := partition.Config{Bundles: []partition.Bundle{
			{ID: w.bundle, Stage: fakestage.New(8, 100, 2, 1024, 64)},
		}}
		for _, f := range change {
			f(&conf)
		}
		if w.server, err = partition.NewServer(conf); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w.stop = cancel
		served := make(chan error)
		go func() { served <- w.server.Serve(ctx, ln) }()
		defer func() {
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
		}()
		w.conf.Tickets = w.conf.Epochs.(*memory)
		f(t, w)
	})
}

// newLinkWorld is a simulated network with the cloud's listener at one end and sockets for
// the board's dials at the other. It is closed after the test.
func newLinkWorld(t *testing.T, latency time.Duration, serverTLS, clientTLS *tls.Config) (*linkWorld, transport.Listener) {
	t.Helper()
	w := &linkWorld{router: &cutRouter{}, bundle: wire.Hash{7}, networks: newFakeNetworks()}
	sim := &simnet.Simnet{Router: w.router}
	link := simnet.NodeBiDiLinkSettings{
		Latency: latency, Uplink: simnet.LinkSettings{MTU: 1452}, Downlink: simnet.LinkSettings{MTU: 1452},
	}
	cloud := sim.NewEndpoint(&net.UDPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 2}, link)
	socks := make(chan net.PacketConn, 64)
	for i := range cap(socks) {
		socks <- sim.NewEndpoint(&net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1000 + i}, link)
	}
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	ln, err := transport.ListenOptions{}.ListenOn(cloud, serverTLS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	w.conf = cloudlink.LinkConfig{
		Config: cloudlink.Config{
			Addr: "192.0.2.2:2", TLS: clientTLS, Epochs: &memory{},
			NewSocket: func() (net.PacketConn, error) {
				select {
				case s := <-socks:
					return s, nil
				default:
					return nil, errors.New("out of simulated sockets")
				}
			},
		},
		Transport: cloudlink.TransportQUIC, Networks: w.networks, Observe: w.observe,
	}
	return w, ln
}

// fakeNetworks tells of changes when the test does.
type fakeNetworks struct{ change chan struct{} }

func newFakeNetworks() *fakeNetworks { return &fakeNetworks{make(chan struct{})} }

func (f *fakeNetworks) Watch(ctx context.Context, changed func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.change:
			changed()
		}
	}
}

// link opens a link with a session of a few rows that has had an answer.
func (w *linkWorld) link(t *testing.T) (*cloudlink.Link, *cloudlink.Session) {
	t.Helper()
	l := cloudlink.NewLink(w.conf)
	t.Cleanup(func() { l.Close() })
	s, err := l.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: w.bundle, Width: 8, Context: 400})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Append(0, make([]float32, 8*3)); err != nil {
		t.Fatal(err)
	}
	w.answer(t, s, 2)
	for l.Client() == nil { // the answer may come before the cloud's hello
		time.Sleep(time.Millisecond)
	}
	return l, s
}

// answer asks until there is an answer, as a board that wants one would.
func (w *linkWorld) answer(t *testing.T, s *cloudlink.Session, pos int) {
	t.Helper()
	for start := time.Now(); ; {
		_, err := s.Ask(t.Context(), pos, 1)
		if err == nil {
			return
		}
		if time.Since(start) > time.Hour {
			t.Fatal(err)
		}
		if !errors.Is(err, cloudlink.ErrLost) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
