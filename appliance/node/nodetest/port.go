package nodetest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Ports of FreePort lie below those that Linux gives to outgoing connections (32768 and
// up), so that none of those takes the port before its listener does.
const (
	firstPort = 20000
	endPort   = 30000
)

// FreePort returns a loopback address that nothing listens on, on UDP or TCP, for a
// server that is to start later or to come back at the same address.
func FreePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(endPort-firstPort)))
		udp, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		tcp, err := net.Listen("tcp", addr)
		udp.Close()
		if err != nil {
			continue
		}
		tcp.Close()
		return addr
	}
	t.Fatalf("no port from %d to %d is free on UDP and TCP", firstPort, endPort-1)
	return ""
}
