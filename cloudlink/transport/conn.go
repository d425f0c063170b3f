package transport

import (
	"context"
	"io"
	"net"
	"time"
)

// ALPN is the protocol name both sides offer (RFC 7301). Its number changes
// only when messages break; versions within it are agreed by Hello and Welcome.
const ALPN = "skerry/1"

// Codes of reset streams and closed connections (RFC 9000 section 20.2).
const (
	CodeNone     uint64 = 0 // done, nothing wrong
	CodeBranch   uint64 = 1 // the branch was left: its rows are dead drafts
	CodeProtocol uint64 = 2 // the peer broke the protocol; a typed error says how
	CodeShutdown uint64 = 3 // this side is stopping
	CodeRefused  uint64 = 4 // the session was refused; a typed error says why
	CodeDenied   uint64 = 5 // the device may not connect, or no longer; the reason says why
	CodeRevoked  uint64 = 6 // likewise, since it was revoked; to an older board the connection is lost
)

// SendStream is the sending half of a stream.
type SendStream interface {
	// Write returns once the transport has taken all of b, and an error where the
	// stream was closed or reset on this side, where the peer wants no more of it, or
	// where the connection has ended: then the error is the cause of Conn.Context.
	io.Writer
	// Close ends the stream after all that was written.
	Close() error
	// CancelWrite ends it at once; what was not delivered yet is lost. A
	// Write that waits returns an error. Code is one of those above; the
	// peer's Read returns an error that has it.
	CancelWrite(code uint64)
}

// ReceiveStream is the receiving half of a stream.
type ReceiveStream interface {
	// Read returns io.EOF after all that the peer wrote before it closed the stream.
	// It returns another error where the peer or this side ended the stream, past the
	// deadline a net.Error whose Timeout is true, and once the connection has ended
	// the cause of Conn.Context.
	io.Reader
	// CancelRead asks the peer to stop sending. A Read that waits returns an
	// error.
	CancelRead(code uint64)
	// SetReadDeadline makes a Read that waits beyond t fail; the zero time
	// removes the deadline.
	SetReadDeadline(t time.Time) error
}

// Stream is a bidirectional stream.
type Stream interface {
	SendStream
	ReceiveStream
}

// Urgency orders the streams of a connection; lower goes first (RFC 9218).
type Urgency int8

const (
	UrgencyControl Urgency = 1
	UrgencyAsk     Urgency = 2
	UrgencyUplink  Urgency = 5
	UrgencyFiles   Urgency = 7 // whatever else there is to send goes first
)

// SetUrgency orders a stream among the others of its connection, where the
// transport can; over TCP all wait for one another.
func SetUrgency(s Stream, u Urgency) {
	if p, ok := s.(interface{ setUrgency(Urgency) }); ok {
		p.setUrgency(u)
	}
}

// Conn is one connection to a peer whose certificate has been verified. Its methods
// may be called concurrently. Opening and accepting a stream waits where the peer's
// limits or the lack of a stream make it; it returns the error of ctx once that has ended, and
// once the connection has ended the cause of Context.
type Conn interface {
	OpenStream(context.Context, Urgency) (Stream, error)
	OpenUniStream(context.Context, Urgency) (SendStream, error)
	AcceptStream(context.Context, Urgency) (Stream, error)
	AcceptUniStream(context.Context) (ReceiveStream, error)
	// Peer is the common name of the peer's certificate.
	Peer() string
	RemoteAddr() net.Addr
	// Context ends with the connection; its cause says why. ClosedBy tells whether
	// the peer closed it, and IsUntrusted whether it did not trust this side.
	Context() context.Context
	// HandshakeComplete is closed once the handshake is confirmed, and never
	// when it fails: wait for Context too. What arrived before may be a
	// replay of an earlier flight (RFC 8446 section 8).
	HandshakeComplete() <-chan struct{}
	// Used0RTT reports whether early data was accepted. On the client it is
	// final once the handshake is confirmed.
	Used0RTT() bool
	// Next returns the connection to use after the peer has rejected the early
	// data, which streams report as ErrEarlyRejected. It waits for the
	// handshake; all streams are gone and what they carried must be sent again.
	Next(context.Context) (Conn, error)
	// Close tells the peer and waits until the connection has ended.
	Close(code uint64, reason string) error
	Stats() Stats
}

// Listener accepts connections.
type Listener interface {
	// Accept returns the next connection whose peer is known. It returns ctx.Err()
	// once ctx has ended, and another error after Close and where the socket has
	// failed: nothing more is accepted then.
	Accept(ctx context.Context) (Conn, error)
	Addr() net.Addr
	// Close stops accepting and ends the connections that are left, without
	// telling their peers.
	Close() error
}

// Stats are counters of one connection since it was made.
type Stats struct {
	BytesSent       uint64 // UDP payload, retransmissions included
	BytesReceived   uint64 // UDP payload
	BytesLost       uint64
	PacketsSent     uint64
	PacketsReceived uint64
	PacketsLost     uint64
	SmoothedRTT     time.Duration // RFC 9002 section 5.3
	RTTDeviation    time.Duration // RFC 9002 section 5.3
	MinRTT          time.Duration
	LatestRTT       time.Duration
	Window          uint64 // congestion window, bytes
}
