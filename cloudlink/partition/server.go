package partition

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"skerry/cloudlink/partition/fence"
	"skerry/cloudlink/partition/library"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// Server is a cloud partition.
type Server struct {
	conf        Config
	schedulers  map[wire.Hash]*scheduler
	wholes      map[wire.Hash]*scheduler // of token ids
	names       []wire.BundleName
	count       counters
	accounts    accounts
	unconfirmed *account // whose work is that of connections not confirmed yet
	mem         *memory
	fence       *fence.Fence[*connection]
	drain       draining
	library     *library.Library
	draws       sync.WaitGroup // of quotas

	mu       sync.Mutex // guards all following
	sessions map[sessionKey]*session
	conns    map[*connection]struct{}
}

// sessionKey names a context: no device reaches another's sessions.
type sessionKey struct {
	device string
	id     wire.SessionID
}

type counters struct {
	connections, live, unconfirmed, opened, refused, badFrames atomic.Int64
	slow, foreign, handshaking                                 atomic.Int64
	bytesUp, rowsUp                                            atomic.Uint64
	fileBytes, fetchBusy                                       atomic.Uint64
}

// NewServer makes a server of the bundles in conf. Errors wrap ErrConfig.
func NewServer(conf Config) (*Server, error) {
	conf, err := conf.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		conf: conf, schedulers: map[wire.Hash]*scheduler{}, wholes: map[wire.Hash]*scheduler{},
		sessions: map[sessionKey]*session{},
		fence:    fence.New[*connection](conf.Devices), mem: newMemory(conf), unconfirmed: newAccount("", conf.Quota, conf.Log),
		conns: map[*connection]struct{}{}, drain: draining{began: make(chan struct{})},
	}
	s.accounts.quota, s.accounts.log = conf.Quota, conf.Log
	if conf.Quotas != nil {
		s.accounts.share = func(device string) *share {
			return &share{quotas: conf.Quotas, device: device, perMinute: conf.Quota.Rows, clock: conf.Clock, wake: s.wakeAll, wg: &s.draws}
		}
	}
	s.library = library.New(conf.FileRate)
	s.unconfirmed.unconfirmed, s.unconfirmed.rate = true, nil
	for _, b := range conf.Bundles {
		s.schedulers[b.ID] = newScheduler(b, conf, s.mem)
		if b.Whole != nil {
			b.Stage = whole{b.Whole}
			s.wholes[b.ID] = newScheduler(b, conf, s.mem)
		}
		s.library.Add(b.ID, b.Files)
		name := wire.BundleName{ID: b.ID, Name: b.Name, Whole: b.Whole != nil}
		if conf.FileRate > 0 {
			name.Bytes = b.fetchable()
		}
		s.names = append(s.names, name)
	}
	return s, nil
}

// Serve answers the connections of ln until ctx ends, which is no error, or ln
// fails. With a Grace the end of ctx drains first. It closes every connection
// and returns once all its goroutines have ended; ln stays open. A server serves
// once.
func (s *Server) Serve(ctx context.Context, ln transport.Listener) error {
	var stages, conns sync.WaitGroup
	stop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	for _, sched := range s.stages() {
		stages.Go(func() { sched.run(stop) })
	}
	stages.Go(func() { s.evictUnused(stop) })
	connCtx, cancelConns := context.WithCancel(context.WithoutCancel(ctx))
	accepting, stopAccepting := context.WithCancel(context.WithoutCancel(ctx))
	var draining sync.WaitGroup
	draining.Go(func() {
		select {
		case <-ctx.Done():
			if s.conf.Grace > 0 {
				s.Drain(accepting, s.conf.Grace)
			}
			stopAccepting()
		case <-accepting.Done():
		}
	})
	defer func() {
		stopAccepting()
		draining.Wait()
		cancelConns()
		conns.Wait() // sessions still need their stages to end
		cancel()
		stages.Wait()
		s.draws.Wait()
		s.saveContexts()
	}()
	for {
		conn, err := ln.Accept(accepting)
		if accepting.Err() != nil {
			if conn != nil {
				conn.Close(transport.CodeShutdown, "stopping")
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
		Version: s.conf.Version, Connections: s.count.live.Load(), Accepted: s.count.connections.Load(),
		Unconfirmed: s.count.unconfirmed.Load(),
		Opened:      s.count.opened.Load(), Refused: s.count.refused.Load(), BadFrames: s.count.badFrames.Load(),
		FileBytes: s.count.fileBytes.Load(), BytesUp: s.count.bytesUp.Load(), RowsUp: s.count.rowsUp.Load(),
		Slow: s.count.slow.Load(), Foreign: s.count.foreign.Load(), Memory: s.mem.stats(),
	}
	st.Memory.Early = s.count.handshaking.Load() * firstWindow
	for _, a := range s.accounts.all() {
		st.Busy += a.busy.Load()
		st.Throttled += a.throttled.Load()
		st.Waiting += int(a.waiting.Load())
	}
	st.Waiting += int(s.unconfirmed.waiting.Load())
	s.mu.Lock()
	st.Sessions = len(s.sessions)
	s.mu.Unlock()
	for _, sched := range s.stages() {
		sched.mu.Lock()
		st.Evicted += sched.stats.evicted
		st.Expired += sched.stats.expired
		st.Saved += sched.stats.saved
		st.Restored += sched.stats.restored
		st.Forwards += sched.stats.forwards
		st.Rows += sched.stats.rows
		st.Answers += sched.stats.answers
		st.Compute += sched.stats.compute
		stage := sched.status()
		sched.mu.Unlock()
		st.Stages = append(st.Stages, stage)
		st.Reserved += stage.Positions
		st.PerRow = max(st.PerRow, stage.PerRow)
		st.Wait = max(st.Wait, stage.Wait)
		st.Contexts += stage.Kept
		st.Queued += stage.Queued
	}
	return st
}

// wakeAll has all stages plan the work there is again.
func (s *Server) wakeAll() {
	for _, sched := range s.stages() {
		sched.wake()
	}
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
		n.account.log.Info("session taken over", "session", n.key.id, "epoch", n.epoch, "from", old.epoch)
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

// Served are the bundles, with their names.
func (s *Server) Served() []wire.BundleName { return s.served() }
