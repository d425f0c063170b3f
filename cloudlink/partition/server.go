package partition

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

// Server is a cloud partition.
type Server struct {
	conf       Config
	schedulers map[wire.Hash]*scheduler
	names      []wire.BundleName
	count      counters

	mu       sync.Mutex // guards all following
	sessions map[sessionKey]*session
}

// sessionKey names a context: no device reaches another's sessions.
type sessionKey struct {
	device string
	id     wire.SessionID
}

type counters struct {
	connections, live, opened, refused, badFrames atomic.Int64
	bytesUp, rowsUp                               atomic.Uint64
}

// Stats are a server's counters since it was made.
type Stats struct {
	Connections int64  // now
	Accepted    int64  // connections in all
	Sessions    int    // now
	Opened      int64  // sessions in all
	Refused     int64  // sessions refused
	BadFrames   int64  // streams ended for what came on them
	BytesUp     uint64 // of uplink frames
	RowsUp      uint64 // hidden states received
	Queued      int    // hidden states not computed yet
	Waiting     int    // asks not answered yet
	Reserved    int    // positions granted to sessions
	Forwards    uint64
	Rows        uint64 // positions computed
	Answers     uint64
	Compute     time.Duration // in forward passes
}

// NewServer makes a server of the bundles in conf. Errors wrap ErrConfig.
func NewServer(conf Config) (*Server, error) {
	conf, err := conf.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{conf: conf, schedulers: map[wire.Hash]*scheduler{}, sessions: map[sessionKey]*session{}}
	for _, b := range conf.Bundles {
		s.schedulers[b.ID] = newScheduler(b, conf)
		s.names = append(s.names, wire.BundleName{ID: b.ID, Name: b.Name})
	}
	return s, nil
}

// Serve answers the connections of ln until ctx ends, which is no error, or ln
// fails. It closes every connection and returns once all its goroutines have
// ended; ln stays open. A server serves once.
func (s *Server) Serve(ctx context.Context, ln cloudlink.Listener) error {
	var stages, conns sync.WaitGroup
	stop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	for _, sched := range s.schedulers {
		stages.Go(func() { sched.run(stop) })
	}
	connCtx, cancelConns := context.WithCancel(ctx)
	defer func() {
		cancelConns()
		conns.Wait() // sessions still need their stages to end
		cancel()
		stages.Wait()
	}()
	for {
		conn, err := ln.Accept(ctx)
		if ctx.Err() != nil {
			if conn != nil {
				conn.Close(cloudlink.CodeShutdown, "stopping")
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
		}
		conns.Go(func() { newConnection(s, conn).serve(connCtx) })
	}
}

// Stats returns the server's counters.
func (s *Server) Stats() Stats {
	st := Stats{
		Connections: s.count.live.Load(), Accepted: s.count.connections.Load(),
		Opened: s.count.opened.Load(), Refused: s.count.refused.Load(), BadFrames: s.count.badFrames.Load(),
		BytesUp: s.count.bytesUp.Load(), RowsUp: s.count.rowsUp.Load(),
	}
	s.mu.Lock()
	st.Sessions = len(s.sessions)
	s.mu.Unlock()
	for _, sched := range s.schedulers {
		sched.mu.Lock()
		st.Reserved += sched.reserved
		st.Forwards += sched.stats.forwards
		st.Rows += sched.stats.rows
		st.Answers += sched.stats.answers
		st.Compute += sched.stats.compute
		for _, t := range sched.tails {
			st.Queued += t.queue.Len()
			st.Waiting += len(t.asks)
		}
		sched.mu.Unlock()
	}
	return st
}

// claim makes n the session of its key. The higher epoch has it: an older
// session ends, an older claim is refused.
func (s *Server) claim(n *session) *wire.Error {
	s.mu.Lock()
	old := s.sessions[n.key]
	if old != nil && old.epoch >= n.epoch {
		s.mu.Unlock()
		return &wire.Error{Code: wire.CodeStale, Text: fmt.Sprintf(
			"the session is open in epoch %d, this is %d", old.epoch, n.epoch)}
	}
	s.sessions[n.key] = n
	s.mu.Unlock()
	if old != nil {
		s.conf.Log.Info("session taken over", "device", n.key.device, "session", n.key.id, "epoch", n.epoch, "from", old.epoch)
		old.fail(&wire.Error{Code: wire.CodeStale, Text: fmt.Sprintf("epoch %d has taken the session over", n.epoch)})
		<-old.done
	}
	return nil
}

func (s *Server) forget(n *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[n.key] == n {
		delete(s.sessions, n.key)
	}
}

// served lists the bundles, for a board that asks for another.
func (s *Server) served() []wire.BundleName { return slices.Clone(s.names) }
