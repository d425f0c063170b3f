package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"

	"github.com/quic-go/quic-go"
)

// DialEnrolment is a trust.Dial: over QUIC, and where that goes unanswered over
// TCP, through the proxy that the environment names.
func DialEnrolment(ctx context.Context, addr string, conf *tls.Config) (io.ReadWriteCloser, error) {
	s, err := dialEnrolmentQUIC(ctx, addr, conf)
	if err == nil || IsUntrusted(err) || ctx.Err() != nil {
		return s, err
	}
	s, tcpErr := dialEnrolmentTCP(ctx, addr, conf)
	if tcpErr != nil {
		return nil, fmt.Errorf("by QUIC %w, by TCP %w", err, tcpErr)
	}
	return s, nil
}

func dialEnrolmentQUIC(ctx context.Context, addr string, conf *tls.Config) (io.ReadWriteCloser, error) {
	remotes, err := Options{Addr: addr}.Remotes(ctx)
	if err != nil {
		return nil, err
	}
	c, errs := Race(ctx, remotes, AttemptDelay, func(ctx context.Context, _ int, remote netip.AddrPort) (Conn, error) {
		return dialEnrolmentAt(ctx, udpAddr(remote), conf)
	}, func(c Conn) { c.Close(CodeShutdown, "") }, nil)
	if err := joined(errs); err != nil {
		return nil, err
	}
	return enrolOver(ctx, c)
}

func dialEnrolmentAt(ctx context.Context, ua *net.UDPAddr, conf *tls.Config) (Conn, error) {
	sock, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, err
	}
	tr := &quic.Transport{Conn: sock}
	shut := sync.OnceFunc(func() { tr.Close(); sock.Close() })
	c, err := tr.Dial(ctx, ua, conf, quicConfig(enrolTime, 0))
	if err != nil {
		shut()
		return nil, err
	}
	return &quicConn{Conn: c, done: shut}, nil
}

func dialEnrolmentTCP(ctx context.Context, addr string, conf *tls.Config) (io.ReadWriteCloser, error) {
	raw, err := Options{Addr: addr}.dialThrough(ctx)
	if err != nil {
		return nil, err
	}
	c, err := overTCP(ctx, raw, conf)
	if err != nil {
		return nil, err
	}
	return enrolOver(ctx, c)
}

func enrolOver(ctx context.Context, c Conn) (io.ReadWriteCloser, error) {
	s, err := c.OpenStream(ctx, UrgencyAsk)
	if err != nil {
		c.Close(CodeShutdown, "")
		return nil, err
	}
	return &enrolStream{s, c}, nil
}

// enrolStream is the one stream of its connection and ends with it.
type enrolStream struct {
	Stream
	conn Conn
}

// Read gives the reason of a connection that was closed, not that it was.
func (s *enrolStream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	if cause := context.Cause(s.conn.Context()); err != nil && err != io.EOF && cause != nil {
		err = cause
	}
	return n, err
}

func (s *enrolStream) Close() error { return s.conn.Close(CodeNone, "") }
