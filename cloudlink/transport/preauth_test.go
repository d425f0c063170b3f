package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"skerry/cloudlink/trust"
)

func TestPreauth(t *testing.T) {
	c := newPreauth(6, 3)
	var cut []string
	spoke := map[string]bool{}
	enter := func(name, ip string) *preauthPeer {
		return c.enter(&net.TCPAddr{IP: net.ParseIP(ip)}, func() bool { return !spoke[name] }, func() { cut = append(cut, name) })
	}
	want := func(names ...string) {
		t.Helper()
		if !slices.Equal(cut, names) {
			t.Errorf("cut are %v, not %v", cut, names)
		}
		cut = nil
	}
	enter("a1", "192.0.2.1")
	spoke["a1"] = true
	enter("a2", "192.0.2.1")
	enter("a3", "192.0.2.1")
	want()
	enter("a4", "192.0.2.1") // the silent one that came first, not the one that speaks
	want("a2")
	spoke["a3"], spoke["a4"] = true, true
	enter("a5", "192.0.2.1") // all speak: the first
	want("a1")
	b := enter("b1", "192.0.2.2")
	enter("c1", "2001:db8::1")
	enter("c2", "2001:db8::ffff") // the same network
	want()
	enter("d1", "::ffff:192.0.2.4") // full: of the address with the most
	want("a5")
	b.leave()
	b.leave()
	enter("e1", "192.0.2.5")
	want()
	if len(c.in) != 6 || c.from[b.from] != 0 {
		t.Errorf("%d are in, %v", len(c.in), c.from)
	}
}

// patience bounds the waits of tests; it is no measure of speed.
const patience = 2 * time.Minute

// forever has strangers borne with for longer than any test takes, so that whoever is let in
// beside them did not wait for their end.
func forever(t *testing.T) {
	handshake, enrol := handshakeTime, enrolTime
	handshakeTime, enrolTime = 24*time.Hour, 24*time.Hour
	t.Cleanup(func() { handshakeTime, enrolTime = handshake, enrol })
}

// silent opens n connections from an address and says nothing.
func silent(t *testing.T, to, from string, n int) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	for range n {
		c, err := d.Dial("tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
}

// Strangers who hold the TCP way open without a word keep no board out, from one
// address or from many, and not from their own.
func TestTCPWayIsNotHeldShut(t *testing.T) {
	forever(t)
	serverTLS, clientTLS, err := DevTLS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := ListenTCPOn(tcp, serverTLS)
	defer ln.Close()
	connects := func(when string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		board, err := Dial(ctx, Options{TCP: true, Addr: tcp.Addr().String(), TLS: clientTLS, Proxy: NoProxy})
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		cloud, err := ln.Accept(ctx)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		board.Close(CodeNone, "")
		cloud.Close(CodeNone, "")
	}
	connects("alone")
	silent(t, tcp.Addr().String(), "127.0.0.1", maxHandshakes+44)
	connects("its own address is full")
	for i := range 6 {
		silent(t, tcp.Addr().String(), fmt.Sprintf("127.0.0.%d", i+2), handshakesEach+2)
	}
	connects("all is full")
}

// silentRegistrar never comes to answer.
type silentRegistrar struct{}

func (silentRegistrar) Serve(rw io.ReadWriter, _ []*x509.Certificate) error {
	_, err := io.ReadAll(rw)
	return err
}

// Strangers who begin to enrol and say nothing leave room for others.
func TestEnrolmentIsNotHeldShut(t *testing.T) {
	forever(t)
	serverTLS, _, err := DevTLS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	open := serverTLS.Clone()
	open.ClientAuth, open.NextProtos = tls.NoClientCert, []string{trust.ALPN}
	serverTLS.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return open, nil }
	ln := WithEnrolment(ListenTCPOn(tcp, serverTLS), silentRegistrar{}).(*enrolling)
	ctx, cancel := context.WithCancel(t.Context())
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		ln.Accept(ctx)
	}()
	defer func() {
		cancel()
		<-accepted
		ln.Close()
	}()
	enrols := func(from string) *tls.Conn {
		t.Helper()
		d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
		c, err := tls.DialWithDialer(d, "tcp", tcp.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{trust.ALPN}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	cut := make(chan error, enrollingEach+1)
	for range enrollingEach + 1 {
		c := enrols("127.0.0.2")
		go func() {
			_, err := io.Copy(io.Discard, c)
			cut <- err
		}()
	}
	select { // the first that came to enrol, which need not be the first that dialled
	case <-cut:
	case <-time.After(patience):
		t.Error("all of one address are borne with")
	}
	for i := range maxEnrolling { // of other addresses; the crowd stays bounded
		enrols(fmt.Sprintf("127.0.1.%d", i+1))
	}
	ln.preauth.mu.Lock()
	defer ln.preauth.mu.Unlock()
	if len(ln.preauth.in) > maxEnrolling {
		t.Errorf("%d enrol at once", len(ln.preauth.in))
	}
}
