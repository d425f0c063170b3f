package transport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"skerry/cloudlink/transport"
)

// patience is a safety net, no assertion.
const patience = 2 * time.Minute

// tcpPair returns both ends of a connection over TCP on loopback.
func tcpPair(t *testing.T) (board, cloud transport.Conn) {
	t.Helper()
	serverTLS, clientTLS, err := transport.DevTLS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := transport.ListenTCPOn(tcp, serverTLS)
	t.Cleanup(func() { ln.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	board, err = transport.Dial(ctx, transport.Options{TCP: true, Addr: tcp.Addr().String(), TLS: clientTLS, Proxy: transport.NoProxy})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { board.Close(0, "") })
	cloud, err = ln.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close(0, "") })
	if board.Peer() != transport.DevServer || cloud.Peer() != transport.DevClient {
		t.Errorf("peers are %q and %q", board.Peer(), cloud.Peer())
	}
	return board, cloud
}

// streams opens a stream on each end of a connection.
func streams(t *testing.T, board, cloud transport.Conn) (b, c transport.Stream) {
	t.Helper()
	b, err := board.OpenStream(t.Context(), transport.UrgencyAsk)
	if err == nil {
		_, err = b.Write([]byte("hello"))
	}
	if err == nil {
		c, err = cloud.AcceptStream(t.Context(), transport.UrgencyAsk)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	return b, c
}

// TestTCPStreams: data of both kinds of streams arrives whole and in order, and
// a stream closed for writing can be read on.
func TestTCPStreams(t *testing.T) {
	board, cloud := tcpPair(t)
	b, c := streams(t, board, cloud)
	data := make([]byte, 1<<20)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(data)
	var wg sync.WaitGroup
	wg.Go(func() {
		b.Write(data)
		b.Close()
	})
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	wg.Go(func() {
		c.Write(data)
		c.Close()
	})
	if got, err = io.ReadAll(b); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("back: %d bytes, %v", len(got), err)
	}
	up, err := board.OpenUniStream(t.Context(), transport.UrgencyUplink)
	if err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		up.Write(data)
		up.Close()
	})
	down, err := cloud.AcceptUniStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err = io.ReadAll(down); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("uplink: %d bytes, %v", len(got), err)
	}
	down.CancelRead(0)
	wg.Wait()
	if st := board.Stats(); st.BytesSent < 2<<20 || st.BytesReceived < 1<<20 || st.PacketsReceived == 0 {
		t.Errorf("%+v", st)
	}
}

// TestTCPReset: a reset is no clean end, whatever is still unread, and a Write
// that waits for a reader who does not come ends with it.
func TestTCPReset(t *testing.T) {
	board, cloud := tcpPair(t)
	b, c := streams(t, board, cloud)
	wrote := make(chan error, 1)
	go func() {
		_, err := b.Write(make([]byte, 4<<20)) // more than any window
		wrote <- err
	}()
	if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	b.CancelWrite(transport.CodeBranch)
	if err := <-wrote; err == nil {
		t.Error("a Write went on after its stream was reset")
	}
	if _, err := io.Copy(io.Discard, c); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a reset stream ended with %v", err)
	}
	// The other half lives.
	if _, err := c.Write([]byte("on")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
}

// TestTCPStop: who stops reading ends the other's Write.
func TestTCPStop(t *testing.T) {
	board, cloud := tcpPair(t)
	b, c := streams(t, board, cloud)
	c.CancelRead(transport.CodeRefused)
	for {
		if _, err := b.Write(make([]byte, 1<<16)); err != nil {
			break
		}
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("read after CancelRead: %v", err)
	}
	b2, c2 := streams(t, board, cloud)
	c2.SetReadDeadline(time.Now().Add(-time.Second))
	if _, err := c2.Read(make([]byte, 1)); err == nil {
		t.Error("a Read went on past its deadline")
	}
	c2.SetReadDeadline(time.Time{})
	b2.Write([]byte("x"))
	if _, err := c2.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// TestTCPClose: the peer learns why.
func TestTCPClose(t *testing.T) {
	board, cloud := tcpPair(t)
	b, c := streams(t, board, cloud)
	cloud.Close(transport.CodeShutdown, "stopping for good")
	<-board.Context().Done()
	if cause := context.Cause(board.Context()); cause == nil || !bytes.Contains([]byte(cause.Error()), []byte("stopping for good")) {
		t.Errorf("closed because of %v", cause)
	}
	if _, err := b.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("a write to a closed connection")
	}
	if _, err := board.OpenStream(t.Context(), transport.UrgencyAsk); err == nil {
		t.Error("a stream on a closed connection")
	}
}

// TestTCPManyStreams opens and ends many more streams than may live at once.
func TestTCPManyStreams(t *testing.T) {
	board, cloud := tcpPair(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 1000 {
			s, err := cloud.AcceptUniStream(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			io.Copy(io.Discard, s)
			s.CancelRead(transport.CodeNone)
		}
	})
	for i := range 1000 {
		s, err := board.OpenUniStream(t.Context(), transport.UrgencyUplink)
		if err != nil {
			t.Fatal(err)
		}
		s.Write([]byte("row"))
		if i%2 == 0 {
			s.Close()
		} else {
			s.CancelWrite(transport.CodeBranch)
		}
	}
	wg.Wait()
}

// TestTCPStrangers: whatever the configuration would settle for, nobody gets in
// without a certificate of ours and our protocol.
func TestTCPStrangers(t *testing.T) {
	serverTLS, clientTLS, err := transport.DevTLS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	lax := serverTLS.Clone()
	lax.ClientAuth, lax.NextProtos = tls.NoClientCert, []string{"other", transport.ALPN}
	serverTLS.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return lax, nil }
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := transport.ListenTCPOn(tcp, serverTLS)
	defer ln.Close()
	for _, proto := range []string{"other", transport.ALPN} {
		conf := clientTLS.Clone()
		conf.NextProtos = []string{proto}
		conn, err := tls.Dial("tcp", tcp.Addr().String(), conf)
		if err != nil {
			continue // refused in the handshake
		}
		conn.SetDeadline(time.Now().Add(patience))
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v", proto, err)
		}
		conn.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := ln.Accept(ctx); err == nil {
		t.Errorf("let %s in", c.RemoteAddr())
	}
}
