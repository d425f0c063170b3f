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
	if st := l.Status(); !st.Connected || st.Transport != cloudlink.TransportQUIC {
		t.Errorf("%+v", st)
	}
	if st := c.server.Stats(); st.Accepted != 1+int64(l.Status().Reconnects) {
		t.Errorf("%+v", st)
	}
}

// TestRestartedCloud: a cloud that was killed and is back tells its boards that
// their connections are gone, and their sessions go on.
func TestRestartedCloud(t *testing.T) {
	t.Parallel()
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	l := newLink(t, c, func(conf *cloudlink.LinkConfig) { conf.Transport = cloudlink.TransportQUIC })
	s := openOn(t, l, cloudlink.SessionOptions{})
	hidden := rows(rand.New(rand.NewPCG(5, 2)), 30)
	must(t, s.Append(0, hidden[:10*width]))
	settled(t, l, s, hidden[:10*width])
	addr := c.ln.Addr().String()
	c.killed = true
	c.ln.Close()
	c.stop()
	ln, err := cloudlink.ListenDev(addr, c.dir)
	must(t, err)
	c.ln, c.stage = ln, fakestage.New(width, vocab, 1, 1024, 64)
	c.serve(t)
	must(t, s.Append(10, hidden[10*width:]))
	settled(t, l, s, hidden)
	st := l.Status()
	if st.Reconnects == 0 || !st.Connected {
		t.Errorf("%+v", st)
	}
	// Closing the socket under a server may leave it time for a last word.
	if !strings.Contains(st.LastError, "stateless reset") && !strings.Contains(st.LastError, "stopping") {
		t.Errorf("the board learned of the restart otherwise: %s", st.LastError)
	}
}
