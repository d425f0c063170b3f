package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"skerry/appliance/status"
	"skerry/cloudlink"
)

// Datagrams of QUIC, in bytes: the least that it needs of a path, and the most that
// it tries, with the headers below it a packet of 1500 bytes or nearly.
const (
	leastDatagram = 1200
	mostDatagram  = 1452
	smallDatagram = 100
)

// packetHeaders are those of IP and UDP.
func packetHeaders(a netip.Addr) int {
	if a.Is4() {
		return 20 + 8
	}
	return 40 + 8
}

// addresses are those of the cloud's name, as many as are worth a probe.
func (t *LinkTest) addresses(ctx context.Context) (out []netip.AddrPort) {
	host, service, err := net.SplitHostPort(t.cloud)
	if err != nil {
		return nil
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return nil
	}
	ips, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for _, ip := range ips[:min(len(ips), 4)] {
		out = append(out, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	return out
}

// noUDP finds out why no connection by QUIC came about: where small packets pass and
// those that QUIC begins with do not, the path is too narrow and nothing is blocked.
func (t *LinkTest) noUDP(ctx context.Context) Findings {
	ctx, cancel := context.WithTimeout(ctx, 2*stepTime)
	defer cancel()
	for _, at := range t.addresses(ctx) {
		if n, err := cloudlink.LargestDatagram(ctx, at, leastDatagram, smallDatagram); err == nil && n == smallDatagram {
			return fail(fmt.Sprintf("small packets reach the cloud, packets of %d bytes do not: the MTU of the path is less, and QUIC needs that much",
				leastDatagram+packetHeaders(at.Addr())),
				"raise the MTU of the tunnel or network on the way to 1280 or more (`ip link` shows this board's, `tracepath` where it narrows); until then the link goes over TCP")
		}
	}
	return fail(status.OneLine(t.failed), "check that `skerry cloud` runs there and that no firewall drops UDP to "+t.cloud)
}

// mtu tells how large packets may be on the way to the cloud.
func (t *LinkTest) mtu(ctx context.Context) Findings {
	if !t.remote.IsValid() {
		return skip("not without a connection")
	}
	ctx, cancel := context.WithTimeout(ctx, 2*stepTime)
	defer cancel()
	n, err := cloudlink.LargestDatagram(ctx, t.remote, mostDatagram, 1392, 1332, 1280, 1252, 1232, leastDatagram)
	headers := packetHeaders(t.remote.Addr())
	switch {
	case err != nil:
		return skip("not measured: " + status.OneLine(err))
	case n == 0:
		return skip("the cloud does not answer probes")
	case n == mostDatagram:
		return pass("packets of %d bytes pass", n+headers)
	}
	return pass("packets of %d bytes pass, of %d not, as behind a tunnel: QUIC keeps to what passes", n+headers, mostDatagram+headers)
}
