package transport

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// The first flight of a dial is sent again every repeatEvery while a token
// wants the cloud, then every repeatLater, until the cloud answers: a link that
// comes back is then noticed at once, by the very request that waits for it.
// QUIC's own repetitions double their distance (RFC 9002 section 6.2.1).
const (
	repeatEvery  = 150 * time.Millisecond
	repeatLater  = 250 * time.Millisecond
	repeatSoon   = 3 * time.Second // how long repeatEvery holds
	repeatRarely = time.Second     // on a metered link
	repeatBytes  = 8 << 10         // of a flight that are repeated
	repeatPieces = 24
	// helloTime is how long the first Initial packets take to be sent; later
	// ones say the same again.
	helloTime = 50 * time.Millisecond
)

// socket returns the UDP socket of a new connection.
func (o Options) socket() (net.PacketConn, error) {
	sock := o.Socket
	if sock == nil {
		var err error
		if sock, err = o.newSocket(); err != nil {
			return nil, err
		}
	}
	if o.Flight != nil {
		sock = o.Flight.wrap(sock)
	}
	return sock, nil
}

func (o Options) newSocket() (net.PacketConn, error) {
	if o.NewSocket != nil {
		return o.NewSocket()
	}
	return net.ListenUDP("udp", nil)
}

// FirstFlight remembers what a dial has sent, until it is answered, so that it can
// be sent again. The zero value is ready; each dial needs one of its own.
type FirstFlight struct {
	mu     sync.Mutex // guards all following
	pieces []func()   // each sends one datagram again
	bytes  int
	began  time.Time
	over   bool
	err    error // the newest that was taken for a loss
}

// wrap returns a socket whose datagrams f remembers. Errors that say only that
// no network is there now count as losses, so that a connection lives through
// a change of address.
func (f *FirstFlight) wrap(sock net.PacketConn) net.PacketConn {
	if udp, ok := sock.(*net.UDPConn); ok {
		return &udpSocket{udp, f}
	}
	return &packetSocket{sock, f}
}

// note remembers a datagram; b and oob are copied.
func (f *FirstFlight) note(b, oob []byte, send func(b, oob []byte)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.began.IsZero() {
		f.began = now
	}
	again := initialPacket(b) && now.Sub(f.began) > helloTime
	if f.over || again || f.bytes+len(b) > repeatBytes || len(f.pieces) >= repeatPieces {
		return
	}
	f.bytes += len(b)
	b, oob = slices.Clone(b), slices.Clone(oob)
	f.pieces = append(f.pieces, func() { send(b, oob) })
}

// initialPacket reports whether a datagram begins with an Initial packet
// (RFC 9000 section 17.2.2).
func initialPacket(b []byte) bool { return len(b) > 0 && b[0]&0xb0 == 0x80 }

// sent turns a transient error into a loss.
func (f *FirstFlight) sent(n, size int, err error) (int, error) {
	if err == nil || !transient(err) {
		return n, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	return size, nil
}

// Repeat sends the flight again and again until stop, while wanted says so; rarely on
// a metered link.
func (f *FirstFlight) Repeat(stop <-chan struct{}, metered bool, wanted func() bool) {
	defer f.forget()
	began := time.Now()
	timer := time.NewTimer(repeatEvery)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		if wanted() {
			f.again()
		}
		switch {
		case metered:
			timer.Reset(repeatRarely)
		case time.Since(began) < repeatSoon:
			timer.Reset(repeatEvery)
		default:
			timer.Reset(repeatLater)
		}
	}
}

func (f *FirstFlight) again() {
	f.mu.Lock()
	pieces := slices.Clone(f.pieces)
	f.mu.Unlock()
	for _, send := range pieces {
		send()
	}
}

// mute makes f remember nothing.
func (f *FirstFlight) mute() *FirstFlight {
	f.forget()
	return f
}

func (f *FirstFlight) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over, f.pieces = true, nil
}

// Explain adds what the network said to why a dial failed.
func (f *FirstFlight) Explain(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		return err
	}
	return fmt.Errorf("%w (%v)", err, f.err)
}

// transient reports whether a datagram could not be sent for now.
func transient(err error) bool {
	return slices.ContainsFunc([]error{
		syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL,
		syscall.EPERM, syscall.ENOBUFS,
	}, func(e error) bool { return errors.Is(err, e) })
}

type udpSocket struct {
	*net.UDPConn
	flight *FirstFlight
}

func (s *udpSocket) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	s.flight.note(b, oob, func(b, oob []byte) { s.UDPConn.WriteMsgUDP(b, oob, addr) })
	n, oobn, err = s.UDPConn.WriteMsgUDP(b, oob, addr)
	n, err = s.flight.sent(n, len(b), err)
	return n, oobn, err
}

func (s *udpSocket) WriteTo(b []byte, addr net.Addr) (int, error) {
	n, err := s.UDPConn.WriteTo(b, addr)
	return s.flight.sent(n, len(b), err)
}

// packetSocket is any other socket.
type packetSocket struct {
	net.PacketConn
	flight *FirstFlight
}

func (s *packetSocket) WriteTo(b []byte, addr net.Addr) (int, error) {
	s.flight.note(b, nil, func(b, _ []byte) { s.PacketConn.WriteTo(b, addr) })
	n, err := s.PacketConn.WriteTo(b, addr)
	return s.flight.sent(n, len(b), err)
}

func (s *packetSocket) SetReadBuffer(n int) error {
	if b, ok := s.PacketConn.(interface{ SetReadBuffer(int) error }); ok {
		return b.SetReadBuffer(n)
	}
	return nil
}

func (s *packetSocket) SetWriteBuffer(n int) error {
	if b, ok := s.PacketConn.(interface{ SetWriteBuffer(int) error }); ok {
		return b.SetWriteBuffer(n)
	}
	return nil
}
