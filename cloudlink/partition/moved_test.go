package partition_test

import (
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
)

// nat forwards one board's UDP to a cloud and can forget its binding.
type nat struct {
	front *net.UDPConn
	cloud *net.UDPAddr
	wg    sync.WaitGroup

	mu    sync.Mutex // guards all following
	back  *net.UDPConn
	board *net.UDPAddr
}

func newNAT(t *testing.T, cloud net.Addr) *nat {
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	n := &nat{front: front, cloud: udpAddr(cloud)}
	n.rebind(t)
	n.wg.Go(func() {
		buf := make([]byte, 2048)
		for {
			size, from, err := front.ReadFromUDP(buf)
			if err != nil {
				return
			}
			n.mu.Lock()
			n.board = from
			n.back.Write(buf[:size])
			n.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		front.Close()
		n.mu.Lock()
		n.back.Close()
		n.mu.Unlock()
		n.wg.Wait()
	})
	return n
}

// rebind gives the board another port, as the cloud sees it.
func (n *nat) rebind(t *testing.T) {
	back, err := net.DialUDP("udp", nil, n.cloud)
	must(t, err)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.back != nil {
		n.back.Close()
	}
	n.back = back
	n.wg.Go(func() {
		buf := make([]byte, 2048)
		for {
			size, err := back.Read(buf)
			if err != nil {
				return
			}
			n.mu.Lock()
			board := n.board
			n.mu.Unlock()
			n.front.WriteToUDP(buf[:size], board)
		}
	})
}

// forward has the NAT lead to another cloud.
func (n *nat) forward(t *testing.T, cloud net.Addr) {
	n.cloud = udpAddr(cloud)
	n.rebind(t)
}

// TestNATRebinding: a NAT on the way that gives the board another port costs
// neither the connection nor an answer.
func TestNATRebinding(t *testing.T) {
	t.Parallel()
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	n := newNAT(t, c.ln.Addr())
	l := newLink(t, c, func(conf *cloudlink.LinkConfig) {
		conf.Addr, conf.Transport = n.front.LocalAddr().String(), cloudlink.TransportQUIC
	})
	s := openOn(t, l, cloudlink.SessionOptions{})
	hidden := rows(rand.New(rand.NewPCG(5, 1)), 60)
	for i := range 6 {
		must(t, s.Append(10*i, hidden[10*i*width:10*(i+1)*width]))
		settled(t, l, s, hidden[:10*(i+1)*width])
		n.rebind(t)
	}
	// A busy machine may lose the link for its own reasons, but not at each change.
	if st := l.Status(); st.Transport != cloudlink.TransportQUIC || st.Reconnects >= 5 {
		t.Errorf("%+v", st)
	}
}

// TestRestartedCloud: a cloud that was killed and is back tells its boards that
// their connections are gone, and their sessions go on. It comes back behind a NAT: its own
// port might be another's by then.
func TestRestartedCloud(t *testing.T) {
	t.Parallel()
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	n := newNAT(t, c.ln.Addr())
	through := func(conf *cloudlink.Config) { conf.Addr = n.front.LocalAddr().String() }
	client := c.dial(t, through) // one that waits for the cloud's word, however long it takes
	s := open(t, client, durable)
	defer s.Close()
	hidden := rows(rand.New(rand.NewPCG(5, 2)), 30)
	must(t, s.Append(0, hidden[:10*width]))
	wantRow(t, ask(t, s, 9, 0), hidden[:10*width])
	c.killed = true
	c.ln.Close()
	c.stop()
	ln, err := cloudlink.ListenDev("127.0.0.1:0", c.dir)
	must(t, err)
	c.ln, c.stage = ln, fakestage.New(width, vocab, 1, 1024, 64)
	c.serve(t)
	n.forward(t, ln.Addr())
	must(t, s.Append(10, hidden[10*width:]))
	_, err = s.Ask(t.Context(), 29, 0)
	wantErr(t, err, cloudlink.ErrLost)
	<-client.Done()
	// Closing the socket under a server may leave it time for a last word.
	if err := client.Err(); !strings.Contains(err.Error(), "stateless reset") && !strings.Contains(err.Error(), "stopping") {
		t.Errorf("the board learned of the restart otherwise: %v", err)
	}
	must(t, c.dial(t, through, inEpoch(2)).Resume(t.Context(), s))
	wantRow(t, ask(t, s, 29, 0), hidden)
}
