package transport

import (
	"cmp"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/quic-go/quic-go"
)

// TicketKeys keeps the keys that seal session tickets, newest first. Replicas
// of one cloud share it, so that any of them resumes what another began.
type TicketKeys interface {
	TicketKeys() ([][32]byte, error)
	PutTicketKeys([][32]byte) error
}

// ListenOptions are what a cloud keeps over a restart; the zero value keeps
// nothing.
type ListenOptions struct {
	// TicketKeys lets boards resume after a restart of the cloud; nil makes
	// keys that end with the process.
	TicketKeys TicketKeys
	// ResetSecret lets a restarted cloud tell boards at once that their
	// connections are gone (RFC 9000 section 10.3). Default: derived from the
	// key of the first certificate.
	ResetSecret []byte
	// NoTCP leaves the TCP port of the same number to others; boards whose
	// network blocks UDP are then alone.
	NoTCP bool
	// Windows bounds, in bytes, by how much the receive windows of all
	// connections together may grow: what boards may have sent that the cloud
	// has not read yet. Default 256 MiB.
	Windows int64
	Clock   func() time.Time // default time.Now
	Log     *slog.Logger     // default: none
}

// Listen is ListenOptions.Listen with the defaults.
func Listen(addr string, conf *tls.Config) (Listener, error) {
	return ListenOptions{}.Listen(addr, conf)
}

// Listen accepts connections of clients whose certificates conf trusts, on the
// UDP address addr and, for networks that block UDP, on the TCP port of the same
// number.
func (o ListenOptions) Listen(addr string, conf *tls.Config) (Listener, error) {
	ua, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	for tries := 0; ; tries++ {
		ln, err := o.listen(ua, conf)
		if err == nil || ua.Port != 0 || tries >= freePorts {
			return ln, err
		}
	}
}

// freePorts is how many ports that the kernel gave for UDP may be taken for TCP.
const freePorts = 16

func (o ListenOptions) listen(addr *net.UDPAddr, conf *tls.Config) (Listener, error) {
	sock, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	udp, err := o.ListenOn(sock, conf)
	if err != nil {
		sock.Close()
		return nil, err
	}
	if o.NoTCP {
		return udp, nil
	}
	tcp, err := listenTCP(udp, conf)
	if err != nil {
		udp.Close()
		return nil, err
	}
	return Both(udp, tcp), nil
}

// ListenOnBoth is Listen on a UDP socket and a TCP listener that somebody else has
// opened, such as systemd; both are then the listener's. Without the second boards
// whose network blocks UDP are alone.
func (o ListenOptions) ListenOnBoth(sock net.PacketConn, stream net.Listener, conf *tls.Config) (Listener, error) {
	udp, err := o.ListenOn(sock, conf)
	if err != nil || stream == nil {
		return udp, err
	}
	return Both(udp, ListenTCPOn(stream, conf)), nil
}

// ListenOn is Listen on a socket that the listener then owns.
func (o ListenOptions) ListenOn(sock net.PacketConn, conf *tls.Config) (Listener, error) {
	tr := &quic.Transport{Conn: sock}
	ring := o.prepare(tr, conf)
	qc := quicConfig(LinkIdle, 0)
	qc.KeepAlivePeriod = 0 // the board keeps its way through a NAT open
	qc.Allow0RTT = true
	grown := newWindows(uint64(cmp.Or(max(o.Windows, 0), maxWindows)))
	qc.AllowConnectionWindowIncrease = grown.allow
	ln, err := tr.ListenEarly(ring.config(conf), qc)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", sock.LocalAddr(), err)
	}
	return newQUICListener(ln, grown, func() error {
		ln.Close()
		tr.Close()
		return sock.Close()
	}), nil
}

// prepare gives tr the keys that outlive the process.
func (o ListenOptions) prepare(tr *quic.Transport, conf *tls.Config) *keyring {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	secret := o.ResetSecret
	if secret == nil {
		secret = keySecret(conf)
	}
	if secret != nil {
		tr.StatelessResetKey = (*quic.StatelessResetKey)(derive(secret, "skerry stateless reset"))
		tr.TokenGeneratorKey = (*quic.TokenGeneratorKey)(derive(secret, "skerry address validation"))
	}
	return newKeyring(o)
}

// keySecret returns the private key of the first certificate, nil when there is
// none or it does not leave where it lies.
func keySecret(conf *tls.Config) []byte {
	if len(conf.Certificates) == 0 {
		return nil
	}
	b, err := x509.MarshalPKCS8PrivateKey(conf.Certificates[0].PrivateKey)
	if err != nil {
		return nil
	}
	return b
}

// derive returns a key for one purpose (RFC 5869).
func derive(secret []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, purpose, 32)
	if err != nil {
		panic(err) // the length is constant
	}
	return key
}
