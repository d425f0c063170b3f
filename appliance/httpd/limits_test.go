package httpd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/httpd/httpdtest"
)

func TestBodyLimit(t *testing.T) {
	s := start(t, Options{Policy: Policy{Body: 1000}}, whoami)
	if _, text := ask(t, "POST", s.url("/"), strings.Repeat("x", 1000)); text != "loopback local 1000" {
		t.Errorf("1000 bytes: %s", text)
	}
	resp, text := ask(t, "POST", s.url("/v1/chat/completions"), strings.Repeat("x", 1001))
	if resp.StatusCode != 413 || !strings.Contains(text, "the limit is 1000") {
		t.Errorf("1001 bytes: %d %s", resp.StatusCode, text)
	}
	// Of 20 MB as little is sent as is read at once: the answer comes before the rest, and
	// what nobody reads may end in a reset that takes the answer along.
	c, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n\r\n%s", strings.Repeat("x", 1000))
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 413 {
		t.Errorf("20 MB: %v %v", resp, err)
	}
	r, _ := http.NewRequest("POST", s.url("/"), io.MultiReader(strings.NewReader(strings.Repeat("x", 2500)))) // chunked
	got, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	got.Body.Close()
	if got.StatusCode != 400 {
		t.Errorf("2500 bytes in chunks: %d", got.StatusCode)
	}
}

func TestHeaderLimit(t *testing.T) {
	s := start(t, Options{Header: 4096}, whoami)
	c, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// As much as is read before the answer, so that it does not get lost in a reset.
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: %s", strings.Repeat("x", 8160))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 431 {
		t.Errorf("a header of 8 kB: %v %v", resp, err)
	}
}

func TestRate(t *testing.T) {
	keys := openKeys(t)
	secret := newKey(t, keys, "laptop")
	clock := time.Now() // stands still
	s := start(t, Options{Keys: keys, Loopback: never, Now: func() time.Time { return clock }, Policy: Policy{Rate: 0.5, Burst: 3}}, whoami)
	var last *http.Response
	var statuses []int
	for range 5 {
		last, _ = ask(t, "GET", s.url("/v1/models"), "", "X-Api-Key: "+secret)
		statuses = append(statuses, last.StatusCode)
	}
	if fmt.Sprint(statuses) != "[200 200 200 429 429]" || last.Header.Get("Retry-After") != "2" {
		t.Errorf("%v, Retry-After %q", statuses, last.Header.Get("Retry-After"))
	}
	if err := s.SetPolicy(Policy{}); err != nil {
		t.Fatal(err)
	}
	if resp, _ := ask(t, "GET", s.url("/"), "", "X-Api-Key: "+secret); resp.StatusCode != 200 {
		t.Errorf("without a limit: %d", resp.StatusCode)
	}
	local := start(t, Options{Policy: Policy{Rate: 0.5, Burst: 1}}, whoami)
	for range 3 {
		if resp, _ := ask(t, "GET", local.url("/"), ""); resp.StatusCode != 200 {
			t.Errorf("on loopback: %d", resp.StatusCode)
		}
	}
}

func TestRatesAreBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	r := newRates(1, 2, func() time.Time { return now })
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for range 2 {
		r.allow(addr(0))
	}
	if _, ok := r.allow(addr(0)); ok {
		t.Error("a third request at once")
	}
	if _, ok := r.allow(addr(1)); !ok {
		t.Error("another client is held up")
	}
	if wait, ok := r.allow(addr(0)); ok || wait != time.Second {
		t.Errorf("wait %v", wait)
	}
	for i := range 3 * maxClients {
		r.allow(addr(i + 2))
	}
	if n := len(r.clients); n > maxClients {
		t.Errorf("%d clients are known", n)
	}
	now = now.Add(time.Second)
	if _, ok := newRates(0, 1, func() time.Time { return now }).allow(addr(0)); !ok {
		t.Error("without a limit a client is held up")
	}
}

func TestClientOf(t *testing.T) {
	for in, want := range map[string]string{"10.0.0.1": "10.0.0.1", "2001:db8::1:2:3:4": "2001:db8::"} {
		if got := clientOf(netip.MustParseAddr(in)); got.String() != want {
			t.Errorf("%s: %s", in, got)
		}
	}
	a := addrOf(&net.TCPAddr{IP: net.ParseIP("::ffff:10.0.0.1")})
	if a.String() != "10.0.0.1" {
		t.Error(a)
	}
}

// pipeConn is a connection of an address.
type pipeConn struct {
	net.Conn
	addr   string
	closed bool
}

func (p *pipeConn) Close() error { p.closed = true; return nil }
func (p *pipeConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(p.addr))
}

func TestGate(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := newGate(3, 2, time.Second, func() time.Time { now = now.Add(time.Second); return now })
	admit := func(addr string) (*conn, *pipeConn) {
		p := &pipeConn{addr: addr + ":1"}
		return g.admit(p, LAN), p
	}
	a1, pa1 := admit("10.0.0.1")
	a2, pa2 := admit("10.0.0.1")
	a1.begin()
	a3, _ := admit("10.0.0.1") // a2 waits, a1 is busy
	if a3 == nil || pa1.closed || !pa2.closed {
		t.Fatalf("a third of one client: %v, closed %v %v", a3, pa1.closed, pa2.closed)
	}
	a3.begin()
	if a4, _ := admit("10.0.0.1"); a4 != nil {
		t.Error("a client has more than its share while all it has are busy")
	}
	b1, pb1 := admit("10.0.0.2")
	if b1 == nil {
		t.Fatal("another client is refused")
	}
	if c1, _ := admit("10.0.0.3"); c1 == nil || !pb1.closed {
		t.Error("the one that waits does not make room")
	}
	a1.end()
	a2.Close()
	a2.Close()
	if len(g.conns) != 3 || g.count[a1.client] != 2 {
		t.Errorf("%d connections, %v", len(g.conns), g.count)
	}
	for c := range g.conns {
		c.Close()
	}
	if len(g.conns) != 0 || len(g.count) != 0 {
		t.Errorf("%d connections, %v remain", len(g.conns), g.count)
	}
}

// A client that takes nothing holds up its own connection alone, and not for ever.
func TestWriteStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		g := newGate(1, 0, 5*time.Second, time.Now)
		c := g.admit(ours, LAN)
		begun := time.Now()
		if _, err := c.Write([]byte("x")); err == nil {
			t.Error("a write that nobody takes succeeds")
		}
		if d := time.Since(begun); d != 5*time.Second {
			t.Errorf("it took %v", d)
		}
		c.Close()
	})
}

// A body that does not come ends the request; one that has come sets no bound to
// the answer.
func TestBodyTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, answered := httpdtest.NewPipes(), make(chan error, 1)
		s, err := Listen(Options{Inherited: []net.Listener{network}, Policy: Policy{BodyTimeout: 5 * time.Second}, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() {
			served <- s.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, err := io.ReadAll(r.Body)
				if err == nil {
					select {
					case <-r.Context().Done():
						err = r.Context().Err()
					case <-time.After(time.Minute):
					}
				}
				answered <- err
			}))
		}()
		c, err := network.Dial(ctx, "", "")
		if err != nil {
			t.Fatal(err)
		}
		go io.Copy(io.Discard, c)
		begun := time.Now()
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
		if err := <-answered; err == nil || time.Since(begun) != 5*time.Second {
			t.Errorf("a body of 3 of 10 bytes ends after %v: %v", time.Since(begun), err)
		}
		client := &http.Client{Transport: &http.Transport{DialContext: network.Dial, DisableKeepAlives: true}}
		resp, err := client.Post("http://localhost/", "", strings.NewReader("abc"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Error(resp.Status)
		}
		if err := <-answered; err != nil {
			t.Errorf("the answer was cut: %v", err)
		}
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

func TestConnectionsOfOneClient(t *testing.T) {
	keys := openKeys(t)
	newKey(t, keys, "a")
	hold, held := make(chan bool), make(chan bool)
	s := start(t, Options{Keys: keys, Loopback: never, ClientConnections: 2}, func(http.ResponseWriter, *http.Request) { held <- true; <-hold })
	defer close(hold)
	for range 2 {
		c, err := net.Dial("tcp", s.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		<-held
	}
	c, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a third connection: %v %v", resp, err)
	}
}

// Those whose bodies do not come make room as those do who send half a header.
func TestSlowBodiesMakeRoom(t *testing.T) {
	began, cut := make(chan bool, 8), make(chan error, 8)
	s := start(t, Options{Connections: 3}, func(w http.ResponseWriter, r *http.Request) {
		began <- true
		_, err := io.ReadAll(r.Body)
		cut <- err
	})
	for range 3 {
		c, err := net.Dial("tcp", s.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
		<-began
	}
	// The last may not have come as far as reading yet, but others have.
	if resp, _ := ask(t, "POST", s.url("/"), "abc"); resp.StatusCode != 200 {
		t.Errorf("a whole request: %s", resp.Status)
	}
	errs := []error{<-cut, <-cut}
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("of the one cut and the whole one: %v", errs)
	}
}
