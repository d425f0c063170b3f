package linksim

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// echo starts a TCP server that answers with what it gets, and a link to it.
func echo(t *testing.T, spec Spec) *Link {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				if _, err := io.Copy(c, c); err == nil {
					c.(*net.TCPConn).CloseWrite()
				}
			})
		}
	})
	a := ln.Addr().(*net.TCPAddr)
	link, err := Start(t.Context(), spec, &net.UDPAddr{IP: a.IP, Port: a.Port}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		link.Close()
		ln.Close()
		wg.Wait()
	})
	return link
}

func dialTCP(t *testing.T, link *Link) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", link.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

// TestTCP carries a megabyte each way, whole and to its end, and no sooner than
// the link allows.
func TestTCP(t *testing.T) {
	link := echo(t, Spec{RTT: 20 * time.Millisecond, Rate: 80e6, Loss: 0.5})
	data := make([]byte, 1<<20)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	start := time.Now()
	c := dialTCP(t, link)
	var wg sync.WaitGroup
	wg.Go(func() {
		c.Write(data)
		c.CloseWrite()
	})
	got, err := io.ReadAll(c)
	wg.Wait()
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d of %d bytes, %v", len(got), len(data), err)
	}
	// A round trip for the handshake, one for the data, and a megabyte at 10 MB/s.
	if d := time.Since(start); d < 140*time.Millisecond {
		t.Errorf("a megabyte there and back took %v", d)
	}
	if up, back := link.Up(), link.Back(); up.Bytes != 1<<20 || back.Bytes != 1<<20 || up.Dropped != 0 {
		t.Errorf("up %+v, back %+v", up, back)
	}
}

// TestTCPStandsStill: a cut holds bytes back and loses none.
func TestTCPStandsStill(t *testing.T) {
	link := echo(t, Spec{})
	c := dialTCP(t, link)
	buf := make([]byte, 8)
	exchange := func() error {
		c.Write([]byte("12345678"))
		_, err := io.ReadFull(c, buf)
		return err
	}
	if err := exchange(); err != nil {
		t.Fatal(err)
	}
	link.Blackhole(false, true)
	c.Write([]byte("abcdefgh"))
	await(t, func() bool { return link.Up().Bytes == 16 })
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := c.Read(buf); err == nil {
		t.Fatalf("%q came through a cut", buf[:n])
	}
	c.SetReadDeadline(time.Now().Add(patience))
	link.SetSpec(Spec{Loss: 1}) // stands in for the cut
	link.Blackhole(false, false)
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := c.Read(buf); err == nil {
		t.Fatalf("%q came through a link that loses everything", buf[:n])
	}
	c.SetReadDeadline(time.Now().Add(patience))
	link.SetSpec(Spec{})
	link.BlockUDP(true) // of no concern
	link.Blackhole(false, false)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "abcdefgh" {
		t.Fatalf("%q, %v", buf, err)
	}
	if err := link.Rebind(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(buf); err == nil {
		t.Fatal("the connection survived a NAT that forgot it")
	}
}

func TestTCPWithoutServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := ln.Addr().(*net.TCPAddr)
	ln.Close()
	link, err := Start(t.Context(), Spec{}, &net.UDPAddr{IP: a.IP, Port: a.Port}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	c := dialTCP(t, link)
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatalf("%d bytes of nobody", n)
	}
}

// TestCloseWithOpenConnections: Close waits for nothing that a peer must do.
func TestCloseWithOpenConnections(t *testing.T) {
	link := echo(t, Spec{RTT: time.Minute})
	c := dialTCP(t, link)
	c.Write([]byte("never there"))
	link.Down(true)
	d := dialTCP(t, link)
	d.Write(make([]byte, 100_000))
	if err := link.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("a connection outlived the link")
	}
}
