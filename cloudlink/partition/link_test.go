package partition_test

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/linksim"
	"skerry/cloudlink/partition"
)

// newLink returns a Link to c over real sockets.
func newLink(t *testing.T, c *cloud, change ...func(*cloudlink.LinkConfig)) *cloudlink.Link {
	t.Helper()
	_, tlsConf, err := cloudlink.DevTLS(c.dir)
	must(t, err)
	conf := cloudlink.LinkConfig{Config: cloudlink.Config{
		Addr: c.ln.Addr().String(), TLS: tlsConf, Device: t.Name(), Epochs: new(epochs), Proxy: cloudlink.NoProxy,
	}}
	for _, f := range change {
		f(&conf)
	}
	l := cloudlink.NewLink(conf)
	t.Cleanup(func() { l.Close() })
	return l
}

type epochs struct{ last atomic.Uint64 }

func (e *epochs) NextEpoch() (uint64, error) { return e.last.Add(1), nil }
func (e *epochs) JumpEpoch(past uint64) error {
	for {
		if last := e.last.Load(); last >= past || e.last.CompareAndSwap(last, past) {
			return nil
		}
	}
}

func (e *epochs) ResetEpoch(past uint64) error {
	e.last.Store(past)
	return nil
}

func openOn(t *testing.T, l *cloudlink.Link, opt cloudlink.SessionOptions) *cloudlink.Session {
	t.Helper()
	opt.Bundle, opt.Width, opt.Context = bundleID, width, 1024
	s, err := l.OpenSession(t.Context(), opt)
	must(t, err)
	return s
}

// settled asks until the link gives an answer, and waits until the link knows
// that it is connected: an answer may come before the cloud's hello.
func settled(t *testing.T, l *cloudlink.Link, s *cloudlink.Session, hidden []float32) {
	t.Helper()
	var a cloudlink.Answer
	eventually(t, func() (ok bool) {
		var err error
		a, err = s.Ask(t.Context(), len(hidden)/width-1, 0)
		return err == nil
	})
	wantRow(t, a, hidden)
	eventually(t, func() bool { return l.Status().Connected })
}

// deafUDP makes a cloud whose UDP port never answers; TCP of the same number
// works.
func deafUDP(t *testing.T, c *cloud) (addr string) {
	t.Helper()
	for range 16 {
		sock, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		must(t, err)
		tcp, err := net.Listen("tcp", sock.LocalAddr().String())
		if err != nil {
			sock.Close()
			continue
		}
		t.Cleanup(func() { sock.Close() })
		forward(t, tcp, c.ln.Addr().String())
		return sock.LocalAddr().String()
	}
	t.Fatal("no port is free for UDP and TCP")
	return ""
}

// forward joins what ln accepts to addr.
func forward(t *testing.T, ln net.Listener, addr string) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", addr)
			if err != nil {
				from.Close()
				continue
			}
			mu.Lock()
			open = append(open, from, to)
			mu.Unlock()
			wg.Go(func() { pipe(to, from) })
			wg.Go(func() { pipe(from, to) })
		}
	})
}

func pipe(to, from net.Conn) {
	io.Copy(to, from)
	to.Close()
	from.Close()
}

// TestLinkOverTCP: where UDP never answers, the same answers come over TCP, and
// the status says so.
func TestLinkOverTCP(t *testing.T) {
	t.Parallel()
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	l := newLink(t, c, func(conf *cloudlink.LinkConfig) { conf.Addr = deafUDP(t, c) })
	s := openOn(t, l, cloudlink.SessionOptions{})
	hidden := rows(rand.New(rand.NewPCG(4, 1)), 40)
	must(t, s.Append(0, hidden))
	settled(t, l, s, hidden)
	must(t, s.Truncate(20))
	hidden = append(hidden[:20*width:20*width], rows(rand.New(rand.NewPCG(4, 2)), 10)...)
	must(t, s.Append(20, hidden[20*width:]))
	settled(t, l, s, hidden)
	st := l.Status()
	if !st.Connected || st.Transport != cloudlink.TransportTCP || st.Why == "" || st.Stats.BytesSent == 0 {
		t.Errorf("%+v", st)
	}
	t.Logf("%s: %s", st.Transport, st.Why)
}

// TestOnlyTCP speaks TCP from the start, and through an HTTP proxy.
func TestOnlyTCP(t *testing.T) {
	t.Parallel()
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	for name, proxy := range map[string]string{"direct": cloudlink.NoProxy, "proxy": newProxy(t)} {
		l := newLink(t, c, func(conf *cloudlink.LinkConfig) {
			conf.Transport, conf.Proxy = cloudlink.TransportTCP, proxy
		})
		s := openOn(t, l, cloudlink.SessionOptions{})
		hidden := rows(rand.New(rand.NewPCG(4, 3)), 5)
		must(t, s.Append(0, hidden))
		settled(t, l, s, hidden)
		if st := l.Status(); st.Transport != cloudlink.TransportTCP {
			t.Errorf("%s: %+v", name, st)
		}
		l.Close()
		eventually(t, func() bool { return c.server.Stats().Connections == 0 })
	}
}

// TestTCPBlackholed: a TCP connection on which nothing comes any more is given
// up while an ask waits, long before TCP itself would.
func TestTCPBlackholed(t *testing.T) {
	t.Parallel()
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	front, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	hole := &holes{Listener: front}
	forward(t, hole, c.ln.Addr().String())
	l := newLink(t, c, func(conf *cloudlink.LinkConfig) {
		conf.Addr, conf.Transport = front.Addr().String(), cloudlink.TransportTCP
	})
	s := openOn(t, l, cloudlink.SessionOptions{})
	hidden := rows(rand.New(rand.NewPCG(4, 5)), 5)
	must(t, s.Append(0, hidden))
	settled(t, l, s, hidden)
	hole.deaf.Store(true)
	_, err = s.Ask(context.Background(), 100, 1)
	wantErr(t, err, cloudlink.ErrLost)
	hole.deaf.Store(false)
	settled(t, l, s, hidden)
	if st := l.Status(); st.Reconnects == 0 {
		t.Errorf("%+v", st)
	}
}

// holes accepts connections that swallow what comes while deaf.
type holes struct {
	net.Listener
	deaf atomic.Bool
}

func (h *holes) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	return &holeConn{c, &h.deaf}, err
}

type holeConn struct {
	net.Conn
	deaf *atomic.Bool
}

func (c *holeConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.deaf.Load() {
			return n, err
		}
	}
}

func (c *holeConn) Write(b []byte) (int, error) {
	if c.deaf.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// newProxy runs an HTTP proxy that wants a password, and returns its address
// with it.
func newProxy(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var wg sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { proxyOne(conn) })
		}
	})
	return "http://board:secret@" + ln.Addr().String()
}

func proxyOne(conn net.Conn) {
	defer conn.Close()
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil || req.Method != http.MethodConnect || req.Header.Get("Proxy-Authorization") != "Basic Ym9hcmQ6c2VjcmV0" {
		io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
		return
	}
	to, err := net.Dial("tcp", req.Host)
	if err != nil {
		io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		return
	}
	io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	go pipe(to, conn)
	pipe(conn, to)
}

// TestBackToQUIC: a link on TCP tries QUIC now and then, and moves over when it
// works; its sessions go on.
func TestBackToQUIC(t *testing.T) {
	t.Parallel()
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	link, err := linksim.Start(t.Context(), linksim.Spec{}, udpAddr(c.ln.Addr()), 1)
	must(t, err)
	t.Cleanup(func() { link.Close() })
	link.BlockUDP(true)
	l := newLink(t, c, func(conf *cloudlink.LinkConfig) {
		conf.Addr = link.Addr().String()
		conf.TCPAfter, conf.QUICEvery = 100*time.Millisecond, 300*time.Millisecond
	})
	s := openOn(t, l, cloudlink.SessionOptions{})
	hidden := rows(rand.New(rand.NewPCG(4, 4)), 30)
	must(t, s.Append(0, hidden[:10*width]))
	settled(t, l, s, hidden[:10*width])
	if st := l.Status(); st.Transport != cloudlink.TransportTCP {
		t.Fatalf("%+v", st)
	}
	link.BlockUDP(false)
	eventually(t, func() bool { return l.Status().Transport == cloudlink.TransportQUIC })
	must(t, s.Append(10, hidden[10*width:]))
	settled(t, l, s, hidden)
	if st := l.Status(); !st.Connected || st.Reconnects != 0 {
		t.Errorf("%+v", st)
	}
}

// highest is a record of boards that only counts their epochs.
type highest struct{ epochs }

func (h *highest) RaiseEpoch(_ string, epoch uint64) (uint64, bool, error) {
	last := h.last.Load()
	raised := epoch > last && epoch <= last+1e6 && h.last.CompareAndSwap(last, epoch)
	return h.last.Load(), raised, nil
}
func (h *highest) Admitted(string) (string, error)           { return "text", nil }
func (h *highest) SawDevice(string, []byte, time.Time) error { return nil }

// A board that has forgotten its numbers, as after its database was set aside, is
// let in with the dial that follows the refusal, and nobody who asks notices.
func TestLinkJumpsPastForgottenEpochs(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), func(conf *partition.Config) { conf.Devices = new(highest) })
	before := new(epochs)
	before.last.Store(500)
	first := newLink(t, c, func(conf *cloudlink.LinkConfig) { conf.Epochs = before })
	hidden := rows(rand.New(rand.NewPCG(1, 1)), 3)
	s := openOn(t, first, cloudlink.SessionOptions{})
	must(t, s.Append(0, hidden))
	settled(t, first, s, hidden)
	first.Close()

	forgotten := new(epochs)
	l := newLink(t, c, func(conf *cloudlink.LinkConfig) { conf.Epochs = forgotten })
	s = openOn(t, l, cloudlink.SessionOptions{})
	must(t, s.Append(0, hidden))
	settled(t, l, s, hidden)
	if last := forgotten.last.Load(); last != 502 {
		t.Errorf("the board counts %d, the cloud has seen 501", last)
	}
}

// A board whose numbers are out of reach of what the cloud has seen of it, as after
// an old record of boards was put back, numbers on from there by itself.
func TestLinkComesBackIntoReach(t *testing.T) {
	record := new(highest)
	record.last.Store(7)
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), func(conf *partition.Config) { conf.Devices = record })
	far := new(epochs)
	far.last.Store(1 << 61)
	l := newLink(t, c, func(conf *cloudlink.LinkConfig) { conf.Epochs = far })
	hidden := rows(rand.New(rand.NewPCG(1, 1)), 3)
	s := openOn(t, l, cloudlink.SessionOptions{})
	must(t, s.Append(0, hidden))
	settled(t, l, s, hidden)
	if b, seen := far.last.Load(), record.last.Load(); b != 8 || seen != 8 {
		t.Errorf("the board counts %d, the cloud %d, want 8", b, seen)
	}
}

// A board counts on from whatever a former version of the cloud took of it, as far as
// there are numbers left to count with.
func TestLinkCountsOnFromHigh(t *testing.T) {
	const taken = 3<<62 - 1
	record := new(highest)
	record.last.Store(taken)
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), func(conf *partition.Config) { conf.Devices = record })
	count := new(epochs)
	l := newLink(t, c, func(conf *cloudlink.LinkConfig) { conf.Epochs = count })
	eventually(t, func() bool { return l.Status().Connected })
	if b, seen := count.last.Load(), record.last.Load(); b != taken+1 || seen != taken+1 {
		t.Errorf("the board counts %d, the cloud %d, want %d", b, seen, uint64(taken+1))
	}
}

// A device whose numbers were used up reads what to do about it, and is let in
// with a record that begins anew.
func TestUsedUpEpochsSayWhatToDo(t *testing.T) {
	record := new(highest)
	record.last.Store(1<<64 - 1)
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), func(conf *partition.Config) { conf.Devices = record })
	l := newLink(t, c)
	eventually(t, func() bool { return l.Status().Refused })
	if text := l.Status().LastError; !strings.Contains(text, "are used up") || !strings.Contains(text, "skerry enroll CODE") {
		t.Error(text)
	}
	stats := c.server.Devices()
	if len(stats) != 1 || !strings.Contains(stats[0].Trouble, "are used up") {
		t.Errorf("the operator reads %+v", stats)
	}
	record.last.Store(0)
	c.server.Disconnect(cloudlink.DevClient, "enrolled anew")
	l.Retry()
	eventually(t, func() bool { return l.Status().Connected })
}
