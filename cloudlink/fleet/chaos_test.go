package fleet_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"skerry/build/testseed"
	"skerry/cloudlink"
	"skerry/cloudlink/fleet"
	"skerry/cloudlink/fleet/fleettest"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/transport"
)

var (
	faults   = flag.Int("faults", 0, "TestFleetChaos: so many faults; 0 leaves it out")
	chaosOut = flag.String("chaos-out", "", "TestFleetChaos: write its last line to this file")
)

// The processes of TestFleetChaos are this program with these variables set.
const (
	asWorker = "SKERRY_CHAOS_WORKER" // its address
	asEtcd   = "SKERRY_CHAOS_ETCD"   // its address
	chaosDir = "SKERRY_CHAOS_DIR"
	etcdURL  = "SKERRY_CHAOS_ENDPOINT"
)

const (
	chaosSessions = 3
	chaosWorkers  = 3
)

// runChild is what such a process does in place of tests; false in any other.
func runChild() bool {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if os.Getenv(asEtcd)+os.Getenv(asWorker) == "" {
		return false
	}
	go func() { // for as long as the process runs: it ends with the one that started it
		io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	var err error
	switch {
	case os.Getenv(asEtcd) != "":
		err = fleettest.Run(ctx, filepath.Join(os.Getenv(chaosDir), "etcd"), os.Getenv(asEtcd))
	case os.Getenv(asWorker) != "":
		err = chaosWorker(ctx, os.Getenv(asWorker), os.Getenv(chaosDir), os.Getenv(etcdURL))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// fixedKeys are the ticket keys of all workers.
type fixedKeys struct{}

func (fixedKeys) TicketKeys() ([][32]byte, error) {
	key := [32]byte{31: 1}
	binary.BigEndian.PutUint64(key[:8], uint64(time.Now().Unix())/3600*3600)
	return [][32]byte{key}, nil
}
func (fixedKeys) PutTicketKeys([][32]byte) error { return nil }

// chaosWorker serves until ctx ends, and then drains as a cloud does that is stopped.
func chaosWorker(ctx context.Context, addr, dir, endpoint string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("worker", addr)
	serverTLS, _, err := cloudlink.DevTLS(dir)
	if err != nil {
		return err
	}
	sock, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	ln, err := transport.ListenOptions{TicketKeys: fixedKeys{}}.ListenOn(sock, serverTLS)
	if err != nil {
		return err
	}
	defer ln.Close()
	var server atomic.Pointer[partition.Server]
	f, err := fleet.Join(fleet.Options{
		Endpoints: []string{endpoint}, Secret: make([]byte, 32), TTL: 2 * time.Second, Patience: time.Second, Log: log,
		Self: fleet.Worker{Address: addr, Stages: []fleet.Stage{{Bundle: hexOf(bundle), Weight: 16}}},
		Lost: func(device, _ string) {
			if s := server.Load(); s != nil {
				s.Moved(device)
			}
		},
	})
	if err != nil {
		return err
	}
	defer f.Close()
	s, err := partition.NewServer(partition.Config{
		Bundles: []partition.Bundle{{ID: bundle, Name: "fake", Stage: fakestage.New(width, vocab, 8, 1<<15, 64)}},
		Owners:  fleet.Owners{Fleet: f}, Log: log, Grace: 2 * time.Second,
	})
	if err != nil {
		return err
	}
	server.Store(s)
	serving, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		<-ctx.Done()
		told, cancel := context.WithTimeout(context.Background(), time.Second)
		f.Drain(told)
		cancel()
		stop()
	}()
	return s.Serve(serving, ln)
}

// chaosProcess is one that is killed, stopped and started again.
type chaosProcess struct {
	t   *testing.T
	env []string
	log *os.File
	cmd *exec.Cmd
}

func (p *chaosProcess) start() {
	p.t.Helper()
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if _, err := p.cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// end ends it by a signal and waits for it.
func (p *chaosProcess) end(s syscall.Signal) {
	p.cmd.Process.Signal(s)
	p.cmd.Wait()
}

func (p *chaosProcess) signal(s syscall.Signal) { p.cmd.Process.Signal(s) }

// freePort is one that nobody has now; a process that is started again needs its own again.
func freePort(t *testing.T) string {
	t.Helper()
	sock, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	return sock.LocalAddr().String()
}

// transcript is what a session has said: each token decides the next row, so that one that is
// lost, doubled or wrong changes all that follow.
type transcript struct {
	hidden []float32
	tokens []int
}

func (s *transcript) row() []float32 {
	last := 1
	if n := len(s.tokens); n > 0 {
		last = s.tokens[n-1] + 2
	}
	row := make([]float32, width)
	for i := range row {
		row[i] = float32(last*(i+1)) / 1000
	}
	return row
}

func most(row []float32) int { return slices.Index(row, slices.Max(row)) }

// TestFleetChaos kills, stops and drains workers and their etcd, all processes, and cuts the link,
// while a board has answers in several sessions, and compares what they said with what one stage
// says that nothing happens to: make chaos-fleet FAULTS=N.
func TestFleetChaos(t *testing.T) {
	if *faults == 0 {
		t.Skip("a matter of minutes: make chaos-fleet")
	}
	dir := t.TempDir()
	_, clientTLS, err := cloudlink.DevTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.ArtifactDir(), "processes.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	etcdAddr := freePort(t)
	etcd := &chaosProcess{t: t, log: log, env: []string{asEtcd + "=" + etcdAddr, chaosDir + "=" + dir}}
	etcd.start()
	defer etcd.end(syscall.SIGKILL)
	workers := map[string]*chaosProcess{}
	var addrs []string
	for range chaosWorkers {
		a := freePort(t)
		p := &chaosProcess{t: t, log: log, env: []string{asWorker + "=" + a, chaosDir + "=" + dir, etcdURL + "=http://" + etcdAddr}}
		p.start()
		defer p.end(syscall.SIGKILL)
		workers[a] = p
		addrs = append(addrs, a)
	}
	var muted atomic.Bool
	kept := &memory{tickets: map[string][][]byte{}}
	link := cloudlink.NewLink(cloudlink.LinkConfig{
		Config: cloudlink.Config{
			Addr: addrs[0], TLS: clientTLS, Epochs: kept, Tickets: kept, Handshake: 2 * time.Second, Log: slog.New(slog.NewTextHandler(log, nil)).With("side", "board"),
			NewSocket: func() (net.PacketConn, error) {
				sock, err := net.ListenPacket("udp", "127.0.0.1:0")
				return &mutedConn{sock, &muted}, err
			},
		},
		Addrs: addrs, Transport: cloudlink.TransportQUIC,
	})
	defer link.Close()
	link.Want(bundle)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var said atomic.Int64
	var all [chaosSessions]transcript
	var sessions sync.WaitGroup
	for i := range all {
		s, err := link.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: bundle, Width: width, Context: 1 << 15})
		if err != nil {
			t.Fatal(err)
		}
		sessions.Go(func() { speak(ctx, t, s, &all[i], &said) })
	}
	rng := testseed.Rand(t)
	count := map[string]int{}
	for n := range *faults {
		// Every fault meets answers under way.
		before := said.Load()
		eventually(t, func() bool { return said.Load() > before+chaosSessions })
		at := link.Status().Addr
		p := workers[at]
		if p == nil || rng.IntN(4) == 0 {
			p = workers[addrs[rng.IntN(len(addrs))]]
		}
		during := time.Duration(rng.IntN(2500)) * time.Millisecond
		kind := []string{"kill", "stop", "drain", "etcd killed", "etcd stopped", "cut"}[rng.IntN(6)]
		count[kind]++
		switch kind {
		case "kill":
			p.end(syscall.SIGKILL)
			time.Sleep(during)
			p.start()
		case "stop": // also for longer than its lease
			p.signal(syscall.SIGSTOP)
			time.Sleep(2 * during)
			p.signal(syscall.SIGCONT)
		case "drain":
			p.end(syscall.SIGTERM)
			p.start()
		case "etcd killed":
			etcd.end(syscall.SIGKILL)
			time.Sleep(during)
			etcd.start()
		case "etcd stopped":
			etcd.signal(syscall.SIGSTOP)
			time.Sleep(during)
			etcd.signal(syscall.SIGCONT)
		case "cut":
			muted.Store(true)
			time.Sleep(during)
			muted.Store(false)
		}
		if n%10 == 9 {
			t.Logf("%d faults, %d tokens, %d connections: %v", n+1, said.Load(), link.Status().Reconnects, count)
		}
	}
	before := said.Load()
	eventually(t, func() bool { return said.Load() > before+chaosSessions })
	cancel()
	sessions.Wait()
	lost, doubled, changed := 0, 0, 0
	for i := range all {
		l, d, c := all[i].compare()
		lost, doubled, changed = lost+l, doubled+d, changed+c
	}
	line := fmt.Sprintf("faults=%d lost=%d doubled=%d changed=%d", *faults, lost, doubled, changed)
	t.Logf("%d tokens of %d sessions over %d connections; %v\n%s", said.Load(), chaosSessions, link.Status().Reconnects+1, count, line)
	if lost+doubled+changed > 0 || said.Load() < int64(*faults) {
		t.Error(line)
	}
	if *chaosOut != "" {
		if err := os.WriteFile(*chaosOut, []byte(line+"\n"), 0o666); err != nil {
			t.Error(err)
		}
	}
}

// speak has a session say one token after another until ctx ends.
func speak(ctx context.Context, t *testing.T, s *cloudlink.Session, said *transcript, n *atomic.Int64) {
	defer s.Close()
	pause := rand.N[time.Duration]
	for ctx.Err() == nil {
		row := said.row()
		pos := len(said.hidden) / width
		if pos == 1<<15 {
			return
		}
		if err := s.Append(pos, row); err != nil {
			t.Error(err)
			return
		}
		said.hidden = append(said.hidden, row...)
		for {
			a, err := s.Ask(ctx, pos, 0)
			if err == nil {
				said.tokens = append(said.tokens, most(a.Row))
				n.Add(1)
				break
			}
			if ctx.Err() != nil {
				return
			}
			if !errors.Is(err, cloudlink.ErrLost) && !errors.Is(err, cloudlink.ErrNotOwner) && !errors.Is(err, cloudlink.ErrBusy) && !errors.Is(err, cloudlink.ErrDraining) {
				t.Error(err)
				return
			}
			time.Sleep(5*time.Millisecond + pause(5*time.Millisecond))
		}
		time.Sleep(20 * time.Millisecond) // as a board that computes
	}
}

// compare counts what differs from what one stage says that nothing happens to.
func (s *transcript) compare() (lost, doubled, changed int) {
	var want transcript
	chain := uint64(0)
	for range s.tokens {
		row := want.row()
		chain = fakestage.Chain(chain, row)
		want.tokens = append(want.tokens, most(fakestage.Logits(chain, vocab)))
	}
	if slices.Equal(want.tokens, s.tokens) {
		return 0, 0, 0
	}
	at := 0
	for want.tokens[at] == s.tokens[at] {
		at++
	}
	switch rest := s.tokens[at:]; {
	case at > 0 && slices.Equal(s.tokens[at-1:at], rest[:1]):
		doubled++
	case at+1 < len(want.tokens) && rest[0] == want.tokens[at+1]:
		lost++
	default:
		changed++
	}
	return lost, doubled, changed
}
