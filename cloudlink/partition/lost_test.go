package partition_test

import (
	"context"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/linksim"
)

func udpAddr(a net.Addr) *net.UDPAddr { return a.(*net.UDPAddr) }

// soon makes a client notice a dead cloud, but not take one for dead that a busy machine
// holds up. How soon it does is tested in virtual time, in cloudlink.
func soon(conf *cloudlink.Config) { conf.Idle = 8 * time.Second }

// waitLost starts an ask that nobody will answer, lets kill act and wants
// ErrLost.
func waitLost(t *testing.T, c *cloud, s *cloudlink.Session, kill func()) {
	t.Helper()
	got := make(chan error, 1)
	go func() {
		_, err := s.Ask(context.Background(), 1000, 1) // a row that never comes
		got <- err
	}()
	eventually(t, func() bool { return c.server.Stats().Waiting == 1 })
	kill()
	wantErr(t, <-got, cloudlink.ErrLost)
	wantErr(t, s.Append(0, rows(rand.New(rand.NewPCG(1, 1)), 1)), cloudlink.ErrLost)
}

// TestCloudKilled closes the cloud's socket without a word to the board.
func TestCloudKilled(t *testing.T) {
	t.Parallel()
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	client := c.dial(t, soon)
	waitLost(t, c, open(t, client), func() {
		c.killed = true
		c.ln.Close()
	})
	<-client.Done()
	wantErr(t, client.Err(), cloudlink.ErrLost)
	_, err := client.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: bundleID, Width: width})
	wantErr(t, err, cloudlink.ErrLost)
}

// TestLinkBlackholed drops every packet both ways.
func TestLinkBlackholed(t *testing.T) {
	t.Parallel()
	stage := fakestage.New(width, vocab, 1, 1024, 64)
	c := newCloud(t, stage)
	link, err := linksim.Start(t.Context(), linksim.Spec{RTT: 20 * time.Millisecond}, udpAddr(c.ln.Addr()), 1)
	must(t, err)
	t.Cleanup(func() { link.Close() })
	client := c.dial(t, soon, func(conf *cloudlink.Config) { conf.Addr = link.Addr().String() })
	waitLost(t, c, open(t, client), func() { link.Down(true) })
	// The cloud notices too, and frees the sequence.
	eventually(t, func() bool { st := c.server.Stats(); return st.Sessions == 0 && st.Reserved == 0 })
}

// TestCloudStops tells the board at once.
func TestCloudStops(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	waitLost(t, c, open(t, c.dial(t)), c.stop)
}

// TestNobodyThere dials an address where nothing listens.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	sock, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	defer sock.Close() // bound and silent
	_, tlsConf, err := cloudlink.DevTLS(t.TempDir())
	must(t, err)
	_, err = cloudlink.Dial(t.Context(), cloudlink.Config{
		Addr: sock.LocalAddr().String(), TLS: tlsConf, Handshake: 50 * time.Millisecond,
	})
	wantErr(t, err, cloudlink.ErrLost)
}

// TestAskGivesUp: an ask ends with its context and the session goes on.
func TestAskGivesUp(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	s := open(t, c.dial(t))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := s.Ask(ctx, 3, 1)
	wantErr(t, err, context.DeadlineExceeded)
	hidden := rows(rand.New(rand.NewPCG(1, 9)), 4)
	must(t, s.Append(0, hidden))
	wantRow(t, ask(t, s, 3, 0), hidden)
}
