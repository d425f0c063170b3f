package httpd

import (
	"net"
	"testing"
	"time"
)

// peer is a connection from an address.
type peer struct {
	net.Conn
	ip     string
	closed bool
}

func (p *peer) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(p.ip)} }
func (p *peer) Close() error         { p.closed = true; return nil }

// Strangers from one address have part of its room, those from many part of all; who
// has shown a key is not put out for them, nor a stranger of another address before
// the most numerous.
func TestStrangersMakeRoom(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := newGate(40, 32, time.Second, func() time.Time { now = now.Add(time.Second); return now })
	admit := func(ip string) (*peer, *conn) {
		t.Helper()
		p := &peer{ip: ip}
		c := g.admit(p, LAN)
		if c == nil {
			t.Fatal("no room")
		}
		return p, c
	}
	honest, c := admit("192.0.2.1")
	c.begin()
	c.know()
	c.end() // idle from now on, the longest of all
	waiting, _ := admit("192.0.2.1")
	var same []*peer
	for range 20 {
		p, _ := admit("192.0.2.9")
		same = append(same, p)
	}
	for i, p := range same {
		if want := i < 20-g.eachNew(); p.closed != want {
			t.Errorf("stranger %d: closed %v", i, p.closed)
		}
	}
	for i := range 60 {
		admit(net.IPv4(198, 51, 100, byte(i)).String())
		if g.news > g.mostNew() {
			t.Fatalf("%d strangers", g.news)
		}
	}
	late, d := admit("192.0.2.1")
	d.know()
	if honest.closed || late.closed {
		t.Error("strangers put out who has shown a key")
	}
	_ = waiting // one of many strangers: its turn has come
	d.Close()
	d.Close()
	if c.Close(); g.news != g.mostNew() && len(g.conns) != g.news {
		t.Errorf("%d strangers of %d connections", g.news, len(g.conns))
	}
}

// Without a limit for a client, on loopback, nobody is a stranger.
func TestNobodyIsAStrangerHere(t *testing.T) {
	g := newGate(8, 0, time.Second, time.Now)
	var all []*peer
	for range 8 {
		p := &peer{ip: "127.0.0.1"}
		g.admit(p, Loopback)
		all = append(all, p)
	}
	for i, p := range all {
		if p.closed {
			t.Errorf("%d is closed", i)
		}
	}
	if g.news != 0 {
		t.Errorf("%d strangers", g.news)
	}
}
