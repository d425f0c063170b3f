package cloudlink

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
)

// SendStream is the sending half of a stream.
type SendStream interface {
	io.Writer
	// Close ends the stream after all that was written.
	Close() error
	// CancelWrite ends it at once; what was not delivered yet is lost. A
	// Write that waits returns an error.
	CancelWrite(code uint64)
}

// ReceiveStream is the receiving half of a stream.
type ReceiveStream interface {
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
)

// Conn is one connection to a peer whose certificate has been verified.
type Conn interface {
	OpenStream(context.Context, Urgency) (Stream, error)
	OpenUniStream(context.Context, Urgency) (SendStream, error)
	AcceptStream(context.Context, Urgency) (Stream, error)
	AcceptUniStream(context.Context) (ReceiveStream, error)
	// Peer is the common name of the peer's certificate.
	Peer() string
	RemoteAddr() net.Addr
	// Context ends with the connection; its cause says why.
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
	// Accept returns the next connection, or an error once ctx or the
	// listener ends.
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
