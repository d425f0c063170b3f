package fleet_test

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"skerry/build/testseed"
	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/linksim"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

var (
	faults   = flag.Int("faults", 0, "TestFleetChaos: so many faults; 0 leaves it out")
	chaosOut = flag.String("chaos-out", "", "TestFleetChaos: write its last line to this file")
)

const (
	chaosBoards   = 4
	chaosSessions = 2
	chaosWorkers  = 3
	chaosMembers  = 3 // of etcd
)

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

// talker is a board with answers in several sessions at once.
type talker struct {
	link  *cloudlink.Link
	muted atomic.Bool // its network is cut
	said  atomic.Int64
	all   [chaosSessions]transcript
	asked [chaosSessions]*cloudlink.Session
	wg    sync.WaitGroup
}

// talk has a board say one token after another in all of its sessions until ctx ends.
func talk(ctx context.Context, t *testing.T, conf *tls.Config, log *slog.Logger, addrs []string) *talker {
	t.Helper()
	b := new(talker)
	kept := &memory{tickets: map[string][][]byte{}}
	b.link = cloudlink.NewLink(cloudlink.LinkConfig{
		Config: cloudlink.Config{
			Addr: addrs[0], TLS: conf, Epochs: kept, Tickets: kept, Handshake: 2 * time.Second, Log: log,
			NewSocket: func() (net.PacketConn, error) {
				sock, err := net.ListenPacket("udp", "127.0.0.1:0")
				return &mutedConn{sock, &b.muted}, err
			},
		},
		Addrs: addrs, Transport: cloudlink.TransportQUIC,
	})
	t.Cleanup(func() { b.link.Close() })
	b.link.Want(bundle)
	for i := range b.all {
		s, err := b.link.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: bundle, Width: width, Context: 1 << 15})
		if err != nil {
			t.Fatal(err)
		}
		b.asked[i] = s
		b.wg.Go(func() { speak(ctx, t, s, &b.all[i], &b.said) })
	}
	return b
}

// chaos is all that faults meet.
type chaos struct {
	t       *testing.T
	workers []*process
	addrs   []string
	etcd    []*process
	ways    [][]*linksim.Link // of each worker to each member of etcd
	clients []string          // addresses of etcd
	boards  []*talker
	guest   *tls.Config // of a board that nobody has
	epoch   uint64      // of its connections
	log     *os.File
	refused int // new boards while etcd's majority was lost
}

func newChaos(ctx context.Context, t *testing.T) *chaos {
	dir, log := t.TempDir(), processLog(t)
	c := &chaos{t: t, log: log}
	names := []string{"guest"}
	for i := range chaosBoards {
		names = append(names, fmt.Sprintf("board-%d", i+1))
	}
	certs := boardsTLS(t, dir, names...)
	c.guest = certs[0]
	c.etcd, c.clients = members(t, log, dir, chaosMembers)
	for range chaosWorkers {
		w := workerProcess{Addr: freePort(t), Dir: dir, Pass: time.Millisecond}
		var ways []*linksim.Link
		for _, to := range c.clients {
			target, err := net.ResolveUDPAddr("udp", to)
			if err != nil {
				t.Fatal(err)
			}
			way, err := linksim.Start(context.Background(), linksim.Spec{}, target, 1)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { way.Close() })
			ways = append(ways, way)
			w.Endpoints = append(w.Endpoints, "http://"+way.Addr().String())
		}
		c.ways = append(c.ways, ways)
		c.workers = append(c.workers, start(t, log, asWorker, w))
		c.addrs = append(c.addrs, w.Addr)
	}
	for i, conf := range certs[1:] {
		c.boards = append(c.boards, talk(ctx, t, conf, slog.New(slog.NewTextHandler(log, nil)).With("board", names[i+1]), c.addrs))
	}
	return c
}

// allSpeak waits until every board has said something more.
func (c *chaos) allSpeak() {
	c.t.Helper()
	for i, b := range c.boards {
		before := b.said.Load()
		for deadline := time.Now().Add(patience); b.said.Load() <= before; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				c.stuck(i)
			}
		}
	}
}

// stuck ends the test because a board says nothing, and leaves what all goroutines do.
func (c *chaos) stuck(board int) {
	c.t.Helper()
	b := c.boards[board]
	for i, s := range b.asked {
		c.t.Logf("session %d: %+v, lost %v", i, s.Stats(), s.Lost())
	}
	pprof.Lookup("goroutine").WriteTo(c.log, 2)
	for _, p := range c.workers {
		p.end(syscall.SIGQUIT)
	}
	c.t.Fatalf("board %d says nothing: link %+v", board+1, b.link.Status())
}

// refuses waits until a worker refuses a board that is nobody's, with a time to come again.
func (c *chaos) refuses(addr string) {
	c.t.Helper()
	var answer any
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		c.epoch++
		answer = greet(c.t.Context(), addr, c.guest, &wire.Hello{ProtocolMin: wire.ProtocolMin, ProtocolMax: wire.Protocol, Epoch: c.epoch, Moves: wire.Follows})
		if refused, ok := answer.(*wire.Error); ok && refused.Code == wire.CodeBusy {
			if refused.RetryAfter == 0 {
				c.t.Fatalf("refused without a time to come again: %+v", refused)
			}
			c.refused++
			return
		}
	}
	c.t.Fatalf("a new board is not refused while etcd cannot agree, but told %+v", answer)
}

// greet is what a worker answers a hello, a message or an error.
func greet(ctx context.Context, addr string, conf *tls.Config, hello *wire.Hello) any {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := transport.Dial(ctx, transport.Options{Addr: addr, TLS: conf, Idle: patience, Handshake: patience})
	if err != nil {
		return err
	}
	defer conn.Close(transport.CodeNone, "")
	s, err := conn.OpenStream(ctx, transport.UrgencyAsk)
	if err != nil {
		return err
	}
	b, err := wire.Append(nil, hello)
	if err == nil {
		_, err = s.Write(b)
	}
	if err != nil {
		return err
	}
	m, err := wire.NewReader(s, 0).Next()
	if err != nil {
		return err
	}
	return m
}

// fault is one kind of what happens, for a time, to a worker and a board.
func (c *chaos) fault(kind string, rng *rand.Rand, worker int, during time.Duration) {
	p := c.workers[worker]
	member := rng.Perm(len(c.etcd))
	switch kind {
	case "kill":
		p.end(syscall.SIGKILL)
		time.Sleep(during)
		p.start()
	case "stop": // also for longer than its lease
		p.pause()
		time.Sleep(2 * during)
		p.goOn()
	case "drain":
		p.end(syscall.SIGTERM)
		p.start()
	case "etcd killed": // the others go on
		c.etcd[member[0]].end(syscall.SIGKILL)
		c.allSpeak()
		time.Sleep(during)
		c.etcd[member[0]].start()
	case "etcd stopped":
		c.etcd[member[0]].pause()
		time.Sleep(during)
		c.etcd[member[0]].goOn()
	case "etcd lost": // who has a board keeps it, and nobody gets one
		for _, i := range member[1:] {
			c.etcd[i].end(syscall.SIGKILL)
		}
		c.allSpeak()
		c.refuses(c.addrs[worker])
		c.allSpeak()
		for _, i := range member[1:] {
			c.etcd[i].start()
		}
	case "etcd cut off": // from one worker
		for _, way := range c.ways[worker] {
			way.Down(true)
		}
		time.Sleep(2 * during)
		for _, way := range c.ways[worker] {
			way.Down(false)
		}
	case "cut":
		b := c.boards[rng.IntN(len(c.boards))]
		b.muted.Store(true)
		time.Sleep(during)
		b.muted.Store(false)
	}
}

var chaosKinds = []string{"kill", "stop", "drain", "etcd killed", "etcd stopped", "etcd lost", "etcd cut off", "cut"}

// TestFleetChaos kills, stops, cuts off and drains workers and the members of their etcd, all
// processes, and cuts links, while boards have answers in several sessions, and compares what
// they said with what one stage says that nothing happens to: make chaos-fleet FAULTS=N.
func TestFleetChaos(t *testing.T) {
	if *faults == 0 {
		t.Skip("a matter of minutes: make chaos-fleet")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := newChaos(ctx, t)
	rng := testseed.Rand(t)
	count := map[string]int{}
	for n := range *faults {
		c.allSpeak() // every fault meets answers under way
		at := c.boards[rng.IntN(len(c.boards))].link.Status().Addr
		worker := slices.Index(c.addrs, at)
		if worker < 0 || rng.IntN(4) == 0 {
			worker = rng.IntN(len(c.addrs))
		}
		kind := chaosKinds[rng.IntN(len(chaosKinds))]
		count[kind]++
		c.fault(kind, rng, worker, time.Duration(rng.IntN(2500))*time.Millisecond)
		if n%10 == 9 {
			said, connections := c.sums()
			t.Logf("%d faults, %d tokens, %d connections: %v", n+1, said, connections, count)
		}
	}
	c.allSpeak()
	said, connections := c.sums()
	cancel()
	lost, doubled, changed := 0, 0, 0
	for _, b := range c.boards {
		b.wg.Wait()
		for i := range b.all {
			l, d, c := b.all[i].compare()
			lost, doubled, changed = lost+l, doubled+d, changed+c
		}
	}
	line := fmt.Sprintf("faults=%d lost=%d doubled=%d changed=%d", *faults, lost, doubled, changed)
	t.Logf("%d tokens of %d boards with %d sessions each over %d connections; %v; %d new boards refused while etcd had lost its majority\n%s",
		said, len(c.boards), chaosSessions, connections, count, c.refused, line)
	if lost+doubled+changed > 0 || said < int64(*faults) || c.refused != count["etcd lost"] {
		t.Error(line)
	}
	if *chaosOut != "" {
		if err := os.WriteFile(*chaosOut, []byte(line+"\n"), 0o666); err != nil {
			t.Error(err)
		}
	}
}

// sums are the tokens of all boards and their connections.
func (c *chaos) sums() (said int64, connections uint64) {
	for _, b := range c.boards {
		said += b.said.Load()
		connections += b.link.Status().Reconnects + 1
	}
	return said, connections
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
