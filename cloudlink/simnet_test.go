package cloudlink_test

import (
	"net"
	"slices"
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

const (
	oneWay = 50 * time.Millisecond
	rtt    = 2 * oneWay
	// slack covers acknowledgement delays and timers, none of which is a
	// round trip.
	slack = 10 * time.Millisecond
)

// world is a board and a cloud with a fake stage, 50 ms apart in virtual time.
type world struct {
	client func() cloudlink.Config
	bundle wire.Hash
}

func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	dir := t.TempDir()
	serverTLS, clientTLS, err := cloudlink.DevTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		sim := &simnet.Simnet{Router: &simnet.PerfectRouter{}}
		far := simnet.NodeBiDiLinkSettings{
			Latency: oneWay, Uplink: simnet.LinkSettings{MTU: 1452}, Downlink: simnet.LinkSettings{MTU: 1452},
		}
		board := sim.NewEndpoint(&net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, far)
		cloud := sim.NewEndpoint(&net.UDPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 2}, far)
		if err := sim.Start(); err != nil {
			t.Fatal(err)
		}
		defer sim.Close()
		defer board.Close()
		ln, err := transport.ListenOptions{}.ListenOn(cloud, serverTLS)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		bundle := wire.Hash{7}
		server, err := partition.NewServer(partition.Config{Bundles: []partition.Bundle{
			{ID: bundle, Stage: fakestage.New(8, 100, 2, 1024, 64)},
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer serving(t, server, ln)()
		f(t, &world{bundle: bundle, client: func() cloudlink.Config {
			return cloudlink.Config{Addr: "192.0.2.2:2", TLS: clientTLS, Socket: board, Epoch: 1}
		}})
	})
}

// TestFreshAnswerTakesTwoRoundTrips: one for the handshake, one for session,
// hidden states and ask together.
func TestFreshAnswerTakesTwoRoundTrips(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		start := time.Now()
		c, err := cloudlink.Dial(t.Context(), w.client())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if d := time.Since(start); d < rtt || d > rtt+slack {
			t.Errorf("the dial took %v of virtual time", d)
		}
		s, err := c.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: w.bundle, Width: 8, Context: 100})
		if err != nil {
			t.Fatal(err)
		}
		hidden := make([]float32, 8*3)
		if err := s.Append(0, hidden); err != nil {
			t.Fatal(err)
		}
		a, err := s.Ask(t.Context(), 2, 0)
		if err != nil || !slices.Equal(a.Row, fakestage.Expect(hidden, 8, 100)) {
			t.Fatalf("%+v, %v", a, err)
		}
		if d := time.Since(start); d < 2*rtt || d > 2*rtt+slack {
			t.Errorf("the first answer took %v of virtual time", d)
		}
		start = time.Now()
		if _, err := s.Ask(t.Context(), 2, 1); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < rtt || d > rtt+slack {
			t.Errorf("another answer took %v of virtual time", d)
		}
		if st := c.Stats(); st.MinRTT < rtt || st.MinRTT > rtt+slack || st.BytesSent == 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestIdleConnectionLives: an hour without a token, and the next takes one
// round trip.
func TestIdleConnectionLives(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c, err := cloudlink.Dial(t.Context(), w.client())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := c.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: w.bundle, Width: 8, Context: 100})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		start := time.Now()
		if err := s.Append(0, make([]float32, 8)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Ask(t.Context(), 0, 1); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < rtt || d > rtt+slack {
			t.Errorf("the answer took %v of virtual time", d)
		}
		st := c.Stats()
		t.Logf("an idle hour cost %d bytes up, %d down", st.BytesSent, st.BytesReceived)
	})
}
