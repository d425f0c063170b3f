package transport

import (
	"context"
	"net"

	"github.com/quic-go/quic-go"
)

// quicConn is a Conn over QUIC.
type quicConn struct {
	*quic.Conn
	done func() // called by Close when the connection owns its socket
	// paths are the sockets a client's connection has moved to; nil on the
	// cloud's side.
	paths *paths
}

type quicStream struct{ *quic.Stream }

func (s quicStream) CancelWrite(code uint64) { s.Stream.CancelWrite(quic.StreamErrorCode(code)) }
func (s quicStream) CancelRead(code uint64)  { s.Stream.CancelRead(quic.StreamErrorCode(code)) }

// setUrgency orders the stream anew, once it is known what it carries.
func (s quicStream) setUrgency(u Urgency) { s.Stream.SetPriority(int8(u), true) }

type quicSendStream struct{ *quic.SendStream }

func (s quicSendStream) CancelWrite(code uint64) {
	s.SendStream.CancelWrite(quic.StreamErrorCode(code))
}

type quicReceiveStream struct{ *quic.ReceiveStream }

func (s quicReceiveStream) CancelRead(code uint64) {
	s.ReceiveStream.CancelRead(quic.StreamErrorCode(code))
}

func (c *quicConn) OpenStream(ctx context.Context, u Urgency) (Stream, error) {
	s, err := c.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	s.SetPriority(int8(u), true)
	return quicStream{s}, nil
}

func (c *quicConn) OpenUniStream(ctx context.Context, u Urgency) (SendStream, error) {
	s, err := c.OpenUniStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	s.SetPriority(int8(u), true)
	return quicSendStream{s}, nil
}

func (c *quicConn) AcceptStream(ctx context.Context, u Urgency) (Stream, error) {
	s, err := c.Conn.AcceptStream(ctx)
	if err != nil {
		return nil, err
	}
	s.SetPriority(int8(u), true)
	return quicStream{s}, nil
}

func (c *quicConn) AcceptUniStream(ctx context.Context) (ReceiveStream, error) {
	s, err := c.Conn.AcceptUniStream(ctx)
	if err != nil {
		return nil, err
	}
	return quicReceiveStream{s}, nil
}

func (c *quicConn) Peer() string { return peerName(c.TLSState()) }

func (c *quicConn) Used0RTT() bool { return c.ConnectionState().Used0RTT }

func (c *quicConn) Next(ctx context.Context) (Conn, error) {
	next, err := c.NextConnection(ctx)
	if err != nil {
		return nil, err
	}
	return &quicConn{Conn: next, done: c.done, paths: c.paths}, nil
}

func (c *quicConn) RemoteAddr() net.Addr { return c.Conn.RemoteAddr() }

func (c *quicConn) Close(code uint64, reason string) error {
	err := c.CloseWithError(quic.ApplicationErrorCode(code), reason)
	if c.done != nil {
		c.done()
	}
	return err
}

func (c *quicConn) Stats() Stats {
	st := c.ConnectionStats()
	if st.PacketsReceived == 0 { // what it says of round trips is a guess
		st.SmoothedRTT, st.MeanDeviation, st.MinRTT, st.LatestRTT = 0, 0, 0, 0
	}
	return Stats{
		BytesSent: st.BytesSent, BytesReceived: st.BytesReceived, BytesLost: st.BytesLost,
		PacketsSent: st.PacketsSent, PacketsReceived: st.PacketsReceived, PacketsLost: st.PacketsLost,
		SmoothedRTT: st.SmoothedRTT, RTTDeviation: st.MeanDeviation,
		MinRTT: st.MinRTT, LatestRTT: st.LatestRTT,
		Window: st.CongestionWindow,
	}
}
