package fleet_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	etcd "go.etcd.io/etcd/client/v3"

	"skerry/build/testseed"
	"skerry/cloudlink"
	"skerry/cloudlink/fleet/fleettest"
	"skerry/cloudlink/internal/fakestage"
)

// keptSocket is a board's socket that stays open when the board closes it: what comes later is
// counted. While it is shut it sends nothing, so that the other side never hears of an end.
type keptSocket struct {
	net.PacketConn
	shut, closed atomic.Bool
	late         atomic.Int64 // datagrams that came after Close
}

func (s *keptSocket) WriteTo(p []byte, to net.Addr) (int, error) {
	if s.shut.Load() || s.closed.Load() {
		return len(p), nil
	}
	return s.PacketConn.WriteTo(p, to)
}

func (s *keptSocket) ReadFrom(p []byte) (int, net.Addr, error) {
	if s.closed.Load() {
		return 0, nil, net.ErrClosed
	}
	n, from, err := s.PacketConn.ReadFrom(p)
	if s.closed.Load() {
		return 0, nil, net.ErrClosed
	}
	return n, from, err
}

func (s *keptSocket) SetReadDeadline(at time.Time) error {
	if s.closed.Load() {
		return net.ErrClosed
	}
	return s.PacketConn.SetReadDeadline(at)
}

func (s *keptSocket) Close() error {
	if !s.closed.Swap(true) {
		s.PacketConn.SetReadDeadline(time.Now()) // ends a read under way
	}
	return nil
}

// count counts what comes late until the real socket is closed.
func (s *keptSocket) count() {
	s.PacketConn.SetReadDeadline(time.Time{})
	p := make([]byte, 2048)
	for {
		if _, _, err := s.PacketConn.ReadFrom(p); err != nil {
			return
		}
		s.late.Add(1)
	}
}

// paused is a board with two workers that are processes, of which one is stopped in mid-pass.
type paused struct {
	*board
	other   *cloudlink.Session // of the same board
	dir     string
	workers map[string]*process

	mu      sync.Mutex
	sockets []*keptSocket
}

func (p *paused) hold(addr string) string { return filepath.Join(p.dir, "hold "+addr) }
func (p *paused) held(addr string) string { return filepath.Join(p.dir, "held "+addr) }

// newest is the socket of the connection of the moment.
func (p *paused) newest() *keptSocket {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sockets[len(p.sockets)-1]
}

func newPaused(t *testing.T, endpoint string) *paused {
	p := &paused{dir: t.TempDir(), workers: map[string]*process{}}
	log := processLog(t)
	conf := boardsTLS(t, p.dir, "board")[0]
	var addrs []string
	for range 2 {
		w := workerProcess{Addr: freePort(t), Dir: p.dir, Endpoints: []string{endpoint}, Deaf: true}
		w.Hold, w.Held = p.hold(w.Addr), p.held(w.Addr)
		p.workers[w.Addr] = start(t, log, asWorker, w)
		addrs = append(addrs, w.Addr)
	}
	p.board = &board{t: t, rng: testseed.Rand(t), kept: &memory{tickets: map[string][][]byte{}}}
	p.link = cloudlink.NewLink(cloudlink.LinkConfig{
		Config: cloudlink.Config{
			Addr: addrs[0], TLS: conf, Epochs: p.kept, Tickets: p.kept, Handshake: 2 * time.Second, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			NewSocket: func() (net.PacketConn, error) {
				sock, err := net.ListenPacket("udp", "127.0.0.1:0")
				if err != nil {
					return nil, err
				}
				t.Cleanup(func() { sock.Close() }) // after the link
				s := &keptSocket{PacketConn: sock}
				p.mu.Lock()
				defer p.mu.Unlock()
				p.sockets = append(p.sockets, s)
				return s, nil
			},
		},
		Addrs: addrs, Transport: cloudlink.TransportQUIC,
		LeastWait: patience, // a pass that is held is no lost one
	})
	t.Cleanup(func() { p.link.Close() })
	p.link.Want(bundle)
	open := func() *cloudlink.Session {
		s, err := p.link.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: bundle, Width: width, Context: 4096})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	p.s, p.other = open(), open()
	return p
}

// TestPausedWorkerDoesNoHarm stops a worker in the middle of a pass. Its board moves, takes rows
// back at the other worker and sends others. Then the first goes on, which has heard of nothing:
// it writes the rows of before into its context and answers. Nobody takes the answer, and when
// the board comes back to that worker no answer is by those rows.
func TestPausedWorkerDoesNoHarm(t *testing.T) {
	t.Parallel()
	e := fleettest.New(t)
	p := newPaused(t, e.Endpoint)
	p.say(5)
	p.where()                     // what came before the worker said hello is no matter of claims
	for addr := range p.workers { // a busy machine may have lost the link since
		if err := os.WriteFile(p.hold(addr), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	p.append(3)
	var stopped atomic.Bool
	asked := make(chan error, 1)
	go func() {
		for {
			_, err := p.s.Ask(t.Context(), 7, 0)
			if err == nil || stopped.Load() || t.Context().Err() != nil {
				asked <- err
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	first := ""
	eventually(t, func() bool {
		for addr := range p.workers {
			if _, err := os.Stat(p.held(addr)); err == nil {
				first = addr
			}
		}
		return first != ""
	})
	former := p.newest()
	stopped.Store(true)
	p.workers[first].pause()
	former.shut.Store(true)
	for addr := range p.workers {
		if err := os.Remove(p.hold(addr)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-asked; !errors.Is(err, cloudlink.ErrLost) {
		t.Fatalf("an ask of a worker that is stopped: %v", err)
	}
	p.say(0)
	second := p.where()
	if second == first {
		t.Fatalf("the board is at %s, and was at %s, which is stopped", second, first)
	}
	if err := p.s.Truncate(3); err != nil {
		t.Fatal(err)
	}
	p.hidden = p.hidden[:3*width]
	p.say(4)

	eventually(t, former.closed.Load)
	var late sync.WaitGroup
	late.Go(former.count)
	t.Cleanup(late.Wait)
	t.Cleanup(func() { former.PacketConn.Close() })
	p.workers[first].goOn()
	eventually(t, func() bool { return former.late.Load() > 0 })
	p.say(3)

	p.workers[second].end(syscall.SIGKILL)
	p.say(2)
	if got := p.where(); got != first {
		t.Errorf("the board is at %s, %s alone lives", got, first)
	}
	if err := p.s.Truncate(6); err != nil {
		t.Fatal(err)
	}
	p.hidden = p.hidden[:6*width]
	p.say(2)
	t.Logf("%d datagrams of the worker that was stopped came late", former.late.Load())
}

// TestSessionsOfABoardMoveTogether: a board is claimed once, whatever sessions it has, and all of
// them go with it, since they share its link.
func TestSessionsOfABoardMoveTogether(t *testing.T) {
	t.Parallel()
	e := fleettest.New(t)
	client, err := etcd.New(etcd.Config{Endpoints: []string{e.Endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	claims := func() string {
		got, err := client.Get(t.Context(), "/skerry/1/claims/", etcd.WithPrefix())
		if err != nil {
			return ""
		}
		var keys []string
		for _, kv := range got.Kvs {
			keys = append(keys, string(kv.Key))
		}
		return fmt.Sprint(keys)
	}
	p := newPaused(t, e.Endpoint)
	have := 0 // rows of the second session
	both := func() {
		t.Helper()
		p.say(2)
		row := p.hidden[:width]
		if err := p.other.Append(have, row); err != nil {
			t.Fatal(err)
		}
		have++
		want := fakestage.Expect(slices.Repeat(row, have), width, vocab)
		eventually(t, func() bool {
			a, err := p.other.Ask(t.Context(), have-1, 0)
			if err == nil && !slices.Equal(a.Row, want) {
				t.Fatal("another answer in the second session than without a fleet")
			}
			return err == nil
		})
		p.where()
		eventually(t, func() bool { return claims() == "[/skerry/1/claims/board]" }) // none while a lease is taken anew
	}
	both()
	first := p.where()
	p.workers[first].end(syscall.SIGKILL)
	both()
	if got := p.where(); got == first {
		t.Error("the board is at a worker that was killed")
	}
}
