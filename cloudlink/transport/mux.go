package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

const (
	// muxStreams bounds the streams of one connection, and with their windows
	// of 256 KiB what a peer makes this side hold.
	muxStreams = 256
	// muxOpen is how many this side has open before it waits; streams end here
	// no sooner than there.
	muxOpen = 200
	// muxFirst is how long a stream may take to say what it is.
	muxFirst = 10 * time.Second
	// muxStall is how long the peer's kernel may take nothing at all.
	muxStall = 10 * time.Second
	// muxPing measures the round trip while there is traffic, and muxIdle keeps
	// an idle connection alive.
	muxPing = 5 * time.Second
	muxIdle = time.Minute
)

// The first byte of a stream says what it is for.
const (
	muxSignals byte = iota + 1
	muxBidi
	muxUni
)

// errNoEarlyData is returned by muxConn.Next: TCP carries no early data.
var errNoEarlyData = errors.New("no early data on this connection")

// muxConn is a Conn over TLS 1.3 on TCP, for networks that block UDP. Streams
// are yamux streams; one more of them carries what yamux has no words for, the
// signals of signals.go.
//
// go-yamux v5 of libp2p has resets with a code and frames that this yamux reads, and
// could not take its place: its reset ends both halves of a stream, where the protocol
// resets one; who stops reading does not tell the writer, who then waits for a window;
// a closed connection has a code and no reason; and a Write returns when up to 64
// frames are queued, so that an ask would wait behind 4 MiB of hidden states on a slow
// link, where here a Write returns once the socket has its frame.
type muxConn struct {
	sess   *yamux.Session
	tls    *tls.Conn
	wire   *countedConn
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	bidi   chan *muxStream
	uni    chan *muxStream
	out    *signalBox
	client bool

	mu        sync.Mutex // guards all following
	ends      map[uint32]*muxEnds
	accepted  uint32 // highest id of the peer's streams
	signalled bool   // the signal stream is there
	rtt       rttEstimate
}

func muxConfig() *yamux.Config {
	return &yamux.Config{
		AcceptBacklog: 256, EnableKeepAlive: false, KeepAliveInterval: muxIdle,
		ConnectionWriteTimeout: muxStall, MaxStreamWindowSize: 256 << 10,
		Logger: log.New(io.Discard, "", 0), // its errors come out of its calls
	}
}

// newMuxConn starts a connection on a TLS connection whose handshake is done.
func newMuxConn(conn *tls.Conn, wire *countedConn, client bool) (*muxConn, error) {
	make := yamux.Server
	if client {
		make = yamux.Client
	}
	sess, err := make(conn, muxConfig())
	if err != nil {
		return nil, err
	}
	c := &muxConn{
		sess: sess, tls: conn, wire: wire, client: client, out: newSignalBox(),
		bidi: newChan(), uni: newChan(), ends: map[uint32]*muxEnds{},
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	if client {
		s, err := sess.OpenStream()
		if err == nil {
			_, err = s.Write([]byte{muxSignals})
		}
		if err != nil {
			sess.Close()
			return nil, err
		}
		c.startSignals(s)
		c.wg.Go(c.measure)
	}
	c.wg.Go(c.accept)
	if !client {
		c.wg.Go(c.noticeSilence)
	}
	return c, nil
}

func newChan() chan *muxStream { return make(chan *muxStream) }

// end records why the connection is over, once, and ends it.
func (c *muxConn) end(err error) {
	c.cancel(err)
	c.out.close()
	c.sess.Close()
}

// accept sorts the peer's streams.
func (c *muxConn) accept() {
	for {
		s, err := c.sess.AcceptStream()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, yamux.ErrSessionShutdown) {
				err = c.wire.cause()
			}
			c.end(err)
			return
		}
		if c.sess.NumStreams() > muxStreams {
			c.end(fmt.Errorf("the peer opened more than %d streams", muxStreams))
			return
		}
		c.mu.Lock()
		c.accepted = s.StreamID()
		c.mu.Unlock()
		c.wg.Go(func() { c.sort(s) })
	}
}

// sort finds out what a stream of the peer is for.
func (c *muxConn) sort(s *yamux.Stream) {
	var kind [1]byte
	s.SetReadDeadline(time.Now().Add(muxFirst))
	_, err := io.ReadFull(s, kind[:])
	s.SetReadDeadline(time.Time{})
	to := c.uni
	switch {
	case err == nil && kind[0] == muxBidi:
		to = c.bidi
	case err == nil && kind[0] == muxUni:
	case err == nil && kind[0] == muxSignals && !c.client && c.startSignals(s):
		return
	default:
		s.Close()
		c.forget(s.StreamID())
		return
	}
	select {
	case to <- c.newStream(s, kind[0], true):
	case <-c.ctx.Done():
	}
}

func (c *muxConn) open(ctx context.Context, kind byte) (*muxStream, error) {
	for c.sess.NumStreams() >= muxOpen { // yamux does not tell when one is over
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.ctx.Done():
			return nil, context.Cause(c.ctx)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := c.sess.OpenStream()
	if err != nil {
		return nil, c.why(err)
	}
	return c.newStream(s, kind, false), nil
}

// why returns the reason the connection ended where it has, else err.
func (c *muxConn) why(err error) error {
	if cause := context.Cause(c.ctx); cause != nil {
		return cause
	}
	return err
}

func (c *muxConn) take(ctx context.Context, from chan *muxStream) (*muxStream, error) {
	select {
	case s := <-from:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.ctx.Done():
		return nil, context.Cause(c.ctx)
	}
}

func (c *muxConn) OpenStream(ctx context.Context, _ Urgency) (Stream, error) {
	return asStream(c.open(ctx, muxBidi))
}

func (c *muxConn) AcceptStream(ctx context.Context, _ Urgency) (Stream, error) {
	return asStream(c.take(ctx, c.bidi))
}

func (c *muxConn) OpenUniStream(ctx context.Context, _ Urgency) (SendStream, error) {
	return asStream(c.open(ctx, muxUni))
}

func (c *muxConn) AcceptUniStream(ctx context.Context) (ReceiveStream, error) {
	return asStream(c.take(ctx, c.uni))
}

// asStream keeps a nil *muxStream out of an interface.
func asStream(s *muxStream, err error) (Stream, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (c *muxConn) Peer() string { return peerName(c.TLSState()) }

func (c *muxConn) RemoteAddr() net.Addr     { return c.wire.RemoteAddr() }
func (c *muxConn) Context() context.Context { return c.ctx }

func (c *muxConn) HandshakeComplete() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

func (c *muxConn) Used0RTT() bool                     { return false }
func (c *muxConn) Next(context.Context) (Conn, error) { return nil, errNoEarlyData }

// Close tells the peer, gives it a moment to hang up first, so that nothing on
// its way is lost, and ends the connection.
func (c *muxConn) Close(code uint64, reason string) error {
	if c.ctx.Err() == nil {
		c.out.put(signal{kind: signalBye, code: code}, reason)
		c.wire.SetWriteDeadline(time.Now().Add(muxLinger))
		timer := time.NewTimer(muxLinger)
		select {
		case <-c.ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	c.end(fmt.Errorf("closed with code %d: %s", code, reason))
	c.wg.Wait()
	return nil
}

// muxLinger is how long Close waits for the peer.
const muxLinger = 300 * time.Millisecond
