package linksim

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// recordMost bounds a recording, in datagrams.
const recordMost = 1 << 16

// Recorder keeps the datagrams that clients send, as one who listens beside
// them would.
type Recorder struct {
	mu      sync.Mutex // guards all following
	sent    map[netip.AddrPort][][]byte
	first   map[netip.AddrPort]int // of them, sent before the target's first answer
	order   []netip.AddrPort
	n       int
	stopped bool
}

// Record starts a recording in place of the one before.
func (l *Link) Record() *Recorder {
	r := &Recorder{sent: map[netip.AddrPort][][]byte{}, first: map[netip.AddrPort]int{}}
	l.recorder.Store(r)
	return r
}

// Stop ends the recording.
func (r *Recorder) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
}

// Clients returns who was recorded, in the order of their first datagram.
func (r *Recorder) Clients() []netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.order)
}

// Sent returns what a client sent.
func (r *Recorder) Sent(client netip.AddrPort) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.sent[client])
}

// FirstFlight returns what a client sent before the target's first answer to it
// came to the link's far end; all of it when none has yet.
func (r *Recorder) FirstFlight(client netip.AddrPort) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok := r.first[client]
	if !ok {
		n = len(r.sent[client])
	}
	return slices.Clone(r.sent[client][:n])
}

func (l *Link) record(from netip.AddrPort, data []byte) {
	if r := l.recorder.Load(); r != nil {
		r.keep(from, data)
	}
}

func (r *Recorder) keep(from netip.AddrPort, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || r.n >= recordMost {
		return
	}
	if r.sent[from] == nil {
		r.order = append(r.order, from)
	}
	r.sent[from] = append(r.sent[from], slices.Clone(data))
	r.n++
}

func (l *Link) answered(client netip.AddrPort) {
	r := l.recorder.Load()
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.sent[client])
	if _, ok := r.first[client]; !ok && n > 0 && !r.stopped {
		r.first[client] = n
	}
}

// Replay sends datagrams to the target, past the link, from a port that nobody
// used before. What the target answers can be read from the socket, which the
// caller closes.
func (l *Link) Replay(datagrams [][]byte) (*net.UDPConn, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(l.target))
	if err != nil {
		return nil, err
	}
	for _, d := range datagrams {
		if _, err := conn.Write(d); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return conn, nil
}
