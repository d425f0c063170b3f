package transport

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"time"
)

const (
	// probeTries is how often a datagram is sent that goes unanswered, and
	// probeWait how long each is waited for.
	probeTries = 3
	probeWait  = 400 * time.Millisecond
)

// LargestDatagram returns the first of sizes, in bytes of UDP payload, at which a
// datagram reaches the cloud at remote and something comes back, and 0 where none
// does. It needs no connection and no certificate: what looks like a packet of a
// connection that the cloud does not know is answered with a small one that says so
// (RFC 9000 section 10.3). The error is of this machine's network.
func LargestDatagram(ctx context.Context, remote netip.AddrPort, sizes ...int) (int, error) {
	sock, err := net.DialUDP("udp", nil, udpAddr(remote))
	if err != nil {
		return 0, err
	}
	defer sock.Close()
	stop := context.AfterFunc(ctx, func() { sock.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	dontFragment(sock)
	for _, size := range sizes {
		for range probeTries {
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			if answered, sent := probeSize(sock, size); answered {
				return size, nil
			} else if !sent {
				break // too large for this machine's own network
			}
		}
	}
	return 0, nil
}

// probeSize sends one datagram and waits for an answer.
func probeSize(sock *net.UDPConn, size int) (answered, sent bool) {
	b := make([]byte, size)
	rand.Read(b)
	b[0] = 0x40 | b[0]&0x3f // a short header (RFC 9000 section 17.3.1)
	if _, err := sock.Write(b); err != nil {
		return false, errors.Is(err, net.ErrClosed)
	}
	sock.SetReadDeadline(time.Now().Add(probeWait))
	_, err := sock.Read(make([]byte, 2048))
	return err == nil, true
}
