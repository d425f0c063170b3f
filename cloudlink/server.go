package cloudlink

import (
	"context"
	"crypto/tls"
	"io"
	"net/netip"

	"skerry/cloudlink/transport"
)

// What a program needs of the transport beside Dial and NewLink: a cloud listens, a
// board enrolls, and both find out what a path carries. Package transport describes
// each.

// Listener accepts the connections of boards.
type Listener = transport.Listener

// ListenOptions are what a cloud keeps over a restart; the zero value keeps nothing.
type ListenOptions = transport.ListenOptions

// Stats are counters of one connection since it was made.
type Stats = transport.Stats

// Enrolment answers the one request of an enrolment connection: trust.Registrar does.
type Enrolment = transport.Enrolment

// NoProxy as Config.Proxy ignores the environment.
const NoProxy = transport.NoProxy

// DevClient is the common name of a board's development certificate.
const DevClient = transport.DevClient

// ErrNotLoopback is returned by ListenDev.
var ErrNotLoopback = transport.ErrNotLoopback

// DevTLS returns TLS configurations of a cloud and a board of this machine that trust
// each other. Their certificates are made in dir on first use. An error names the file.
func DevTLS(dir string) (server, client *tls.Config, err error) { return transport.DevTLS(dir) }

// ListenDev listens with the development certificates in dir. It returns
// ErrNotLoopback for any address that other machines can reach.
func ListenDev(addr, dir string) (Listener, error) { return transport.ListenDev(addr, dir) }

// WithEnrolment keeps the connections of ln that are for enrolment, and has e
// answer them while someone waits in Accept for others.
func WithEnrolment(ln Listener, e Enrolment) Listener { return transport.WithEnrolment(ln, e) }

// DialEnrolment is a trust.Dial: over QUIC, and where that goes unanswered over
// TCP, through the proxy that the environment names.
func DialEnrolment(ctx context.Context, addr string, conf *tls.Config) (io.ReadWriteCloser, error) {
	return transport.DialEnrolment(ctx, addr, conf)
}

// LargestDatagram returns the first of sizes, in bytes of UDP payload, at which a
// datagram reaches the cloud at remote and something comes back, and 0 where none
// does. The error is of this machine's network.
func LargestDatagram(ctx context.Context, remote netip.AddrPort, sizes ...int) (int, error) {
	return transport.LargestDatagram(ctx, remote, sizes...)
}
