package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Server is the listeners and what serves them.
type Server struct {
	opt       Options
	listeners []*listener
	cert      *certificate // nil without TLS
	guard     *Guard
	http      *http.Server
	conns     sync.WaitGroup // goroutines that serve connections
	serving   atomic.Bool
	done      chan struct{} // closed by the end of Serve
}

// Listen opens everything that is to be served, or nothing: an error says what to
// change. Listening where the LAN reaches it wants a key to be there.
func Listen(o Options) (_ *Server, err error) {
	s := &Server{opt: o.withDefaults(), done: make(chan struct{})}
	defer func() {
		if err != nil {
			s.closeListeners()
		}
	}()
	if o.CertFile != "" || o.KeyFile != "" {
		if s.cert, err = newCertificate(o.CertFile, o.KeyFile, s.opt.Log); err != nil {
			return nil, err
		}
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	if err := s.wantKey(); err != nil {
		return nil, err
	}
	if s.guard, err = New(s.opt, nil); err != nil {
		return nil, err
	}
	s.http = s.newHTTP()
	return s, nil
}

// wantKey refuses to serve the LAN where there is no key.
func (s *Server) wantKey() error {
	for _, l := range s.listeners {
		if l.via != LAN {
			continue
		}
		if s.opt.Keys == nil {
			return errors.New("access: Options.Keys is not set")
		}
		keys, err := s.opt.Keys.List()
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			return fmt.Errorf("%s is open to the network, and there is no API key: make one with skerry key new NAME, or listen on 127.0.0.1:7537 alone", l.Addr())
		}
		if !l.tls {
			s.opt.Log.Warn("keys and prompts cross the network unencrypted: set cert and key of [tls]", "address", l.Addr().String())
		}
	}
	return nil
}

// Addrs of the listeners: inherited ones, then those of Listen, OllamaListen and
// Socket.
func (s *Server) Addrs() (all []net.Addr) {
	for _, l := range s.listeners {
		all = append(all, l.Addr())
	}
	return all
}

// URLs of the page. Those of a wildcard listener are of the interfaces there are now.
func (s *Server) URLs() (all []string) {
	for _, l := range s.listeners {
		all = append(all, urls(l)...)
	}
	return all
}

// SetPolicy changes the policy for the requests that come after.
func (s *Server) SetPolicy(p Policy) error {
	return s.guard.SetPolicy(Options{Policy: p}.withDefaults().Policy)
}

// newHTTP is the one server of all listeners.
func (s *Server) newHTTP() *http.Server {
	h := &http.Server{
		Handler:           s.guard,
		MaxHeaderBytes:    s.opt.Header,
		ReadHeaderTimeout: s.opt.HeaderTimeout,
		IdleTimeout:       s.opt.IdleTimeout,
		ErrorLog:          slog.NewLogLogger(s.opt.Log.Handler(), slog.LevelDebug), // strangers' mistakes
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 64, WriteByteTimeout: s.opt.WriteStall},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, under(c))
		},
		ConnState: s.connState,
	}
	if s.cert != nil {
		// Without NextProtos HTTP/2 is there or not by whether a listener with TLS is
		// the first to be served.
		h.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.cert.get, NextProtos: []string{"h2", "http/1.1"}}
	}
	return h
}

// under a connection, which may be TLS, is the one that came through the gate.
func under(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*conn)
}

// connState counts the goroutines of net/http: one for each connection, from new to
// closed.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		under(c).ended.Do(s.conns.Done)
	}
}

// Serve serves, once, until Shutdown or until ctx ends; the latter closes every
// connection at once. All its goroutines have ended when it returns. It is an error
// only where a listener failed.
func (s *Server) Serve(ctx context.Context, next http.Handler) error {
	s.guard.next = next
	s.serving.Store(true)
	defer close(s.done)
	ended := make(chan struct{})
	defer func() { <-ended }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(ended)
		<-ctx.Done()
		s.guard.stop()
		s.http.Close()
	}()
	var g errgroup.Group
	for _, l := range s.listeners {
		g.Go(func() (err error) {
			if l.tls {
				err = s.http.ServeTLS(l, "", "")
			} else {
				err = s.http.Serve(l)
			}
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			cancel()
			return fmt.Errorf("serving %s: %w", l.Addr(), err)
		})
	}
	err := g.Wait()
	s.conns.Wait()
	s.guard.close()
	s.closeListeners()
	return err
}

// patience is how long a connection without a request is spared at a shutdown, lest
// one whose request is on its way be cut.
const patience = time.Second

// Shutdown takes no more connections, ends endless requests, waits for the others
// until ctx ends and then closes what is left. The error is ctx's where it came to
// that.
func (s *Server) Shutdown(ctx context.Context) error {
	s.guard.stop()
	defer s.closeListeners()
	down := make(chan error, 1)
	go func() { down <- s.http.Shutdown(ctx) }()
	tick := time.NewTicker(patience / 4)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			// net/http waits for who has sent nothing yet, or half a header.
			for _, l := range s.listeners {
				l.gate.drop(time.Now().Add(-patience))
			}
		case err := <-down:
			if err != nil {
				s.http.Close()
			}
			if s.serving.Load() {
				<-s.done
			}
			return err
		}
	}
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		l.Close()
	}
}
