package cloudlink_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/wire"
)

// durable opens a session that outlives its connections.
func (w *earlyWorld) durable(c *cloudlink.Client) *cloudlink.Session {
	w.t.Helper()
	s, err := c.OpenSession(w.t.Context(), cloudlink.SessionOptions{
		Bundle: earlyBundle, Width: w.stage.WidthN, Context: 2048, Durable: true,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// answered connects a durable session with these rows, which has had its answer
// and its next ticket.
func (w *earlyWorld) answered(hidden []float32) (*cloudlink.Client, *cloudlink.Session) {
	w.t.Helper()
	c := w.dial()
	s := w.durable(c)
	s.Append(0, hidden)
	w.wantLogits(s, hidden)
	time.Sleep(3 * rtt)
	return c, s
}

// resume dials and takes the session along.
func (w *earlyWorld) resume(s *cloudlink.Session) *cloudlink.Client {
	w.t.Helper()
	c := w.dial()
	if err := c.Resume(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// wantLogits asks for the last of all rows and checks the answer.
func (w *earlyWorld) wantLogits(s *cloudlink.Session, hidden []float32) {
	w.t.Helper()
	width := w.stage.WidthN
	a, err := s.Ask(w.t.Context(), len(hidden)/width-1, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	if !slices.Equal(a.Row, fakestage.Expect(hidden, width, 100)) {
		w.t.Fatalf("wrong logits after %d rows", len(hidden)/width)
	}
}

func randomRows(rng *rand.Rand, n, width int) []float32 {
	out := make([]float32, n*width)
	for i := range out {
		out[i] = rng.Float32()
	}
	return out
}

func everything(simnet.Packet) bool { return true }

// TestResumeAfterCut: the link was cut, both sides have noticed, and the cloud
// kept the context. The next answer takes one round trip.
func TestResumeAfterCut(t *testing.T) {
	inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
		stop := w.serve()
		defer stop()
		rng := rand.New(rand.NewPCG(9, 1))
		hidden := randomRows(rng, 500, 8)
		c, s := w.answered(hidden)
		defer s.Close()

		w.router.dropping(everything)
		<-c.Done()
		if _, err := s.Ask(t.Context(), 499, 1); !errors.Is(err, cloudlink.ErrLost) {
			t.Fatalf("detached, an ask ends with %v", err)
		}
		hidden = append(hidden, randomRows(rng, 20, 8)...)
		s.Append(500, hidden[500*8:])
		c.Close()
		time.Sleep(10 * time.Second)
		w.router.dropping(nil)

		start := time.Now()
		c2 := w.resume(s)
		defer c2.Close()
		w.wantLogits(s, hidden)
		w.within(start, 1, "the first answer after the cut")
		if n := w.stage.Rows.Load(); n != 520 {
			t.Errorf("%d rows computed of 520", n)
		}
	})
}

// TestResumeBeforeCloudNotices: the board is back while the cloud still thinks
// that the old connection lives. It takes over once its handshake is confirmed.
func TestResumeBeforeCloudNotices(t *testing.T) {
	inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
		stop := w.serve()
		defer stop()
		hidden := randomRows(rand.New(rand.NewPCG(9, 2)), 500, 8)
		c, s := w.answered(hidden)
		defer s.Close()
		w.router.dropping(everything)
		c.Close()
		w.router.dropping(nil)

		start := time.Now()
		c2 := w.resume(s)
		defer c2.Close()
		w.wantLogits(s, hidden)
		if d := time.Since(start); d > 2*rtt+slack {
			t.Errorf("the first answer took %v of virtual time", d)
		}
		if n := w.stage.Rows.Load(); n != 500 {
			t.Errorf("%d rows computed of 500", n)
		}
	})
}

// TestResumeOfLostContext: the cloud has restarted and the context of 1000
// tokens of a small model goes up again, from the board's memory.
func TestResumeOfLostContext(t *testing.T) {
	inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
		const width = 576 // of SmolLM2-135M
		w.stage = fakestage.New(width, 100, 2, 4096, 512)
		stop := w.serve()
		rng := rand.New(rand.NewPCG(9, 3))
		hidden := randomRows(rng, 1000, width)
		c, s := w.answered(hidden)
		defer s.Close()
		stop()
		<-c.Done()
		c.Close()
		w.stage = fakestage.New(width, 100, 2, 4096, 512)
		defer w.serve()()

		start := time.Now()
		c2 := w.resume(s)
		defer c2.Close()
		w.wantLogits(s, hidden)
		d := time.Since(start)
		t.Logf("%d bytes again in %v of virtual time, congestion window and all", len(hidden)*4, d)
		if d > 3*time.Second {
			t.Errorf("a context of 1000 tokens took %v", d)
		}
		if st := s.Stats(); st.Repeats != 1 || w.stage.Forwards.Load() != 2 {
			t.Errorf("sent again %d times, computed in %d passes of 512", st.Repeats, w.stage.Forwards.Load())
		}
	})
}

// TestRandomLosses appends, truncates, asks, cuts, restarts, evicts and resumes
// at random, and checks every answer against the rows that stand.
func TestRandomLosses(t *testing.T) {
	for seed := range uint64(10) {
		inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
			w.stage = fakestage.New(8, 100, 2, 8192, 256)
			newRandomBoard(t, w, seed).run(120)
		})
	}
}

// randomBoard is what TestRandomLosses drives.
type randomBoard struct {
	*earlyWorld
	rng    *rand.Rand
	seed   uint64
	stop   func()
	client *cloudlink.Client
	s      *cloudlink.Session
	hidden []float32
	asked  int
	lost   int
}

func newRandomBoard(t *testing.T, w *earlyWorld, seed uint64) *randomBoard {
	b := &randomBoard{earlyWorld: w, rng: rand.New(rand.NewPCG(9, seed)), seed: seed}
	b.stop = w.serve()
	b.client = w.dial()
	b.s = w.durable(b.client)
	return b
}

func (b *randomBoard) run(steps int) {
	for range steps {
		b.step()
		if b.rng.IntN(3) == 0 {
			time.Sleep(time.Duration(b.rng.IntN(150)) * time.Millisecond)
		}
	}
	b.append(1)
	for before := b.asked; b.asked == before; b.ask() {
		b.attach()
	}
	b.t.Logf("seed %d: %d answers, %d asks lost, %+v", b.seed, b.asked, b.lost, b.s.Stats())
	b.s.Close()
	b.client.Close()
	b.stop()
}

func (b *randomBoard) step() {
	switch n := b.rng.IntN(100); {
	case n < 40:
		b.append(1 + b.rng.IntN(20))
	case n < 55:
		b.truncate()
	case n < 75:
		b.ask()
	case n < 80: // a cut that both sides notice
		b.router.dropping(everything)
		time.Sleep(time.Duration(b.rng.IntN(5000)) * time.Millisecond)
		b.router.dropping(nil)
	case n < 85:
		b.client.Close()
	case n < 88: // the cloud has lost everything
		b.stop()
		b.stage = fakestage.New(8, 100, 2, 8192, 256)
		b.stop = b.serve()
	case n < 92:
		b.crowd()
	default:
		b.attach()
	}
}

func (b *randomBoard) append(n int) {
	pos := len(b.hidden) / 8
	b.hidden = append(b.hidden, randomRows(b.rng, n, 8)...)
	if err := b.s.Append(pos, b.hidden[pos*8:]); err != nil {
		b.t.Fatalf("seed %d: %v", b.seed, err)
	}
}

func (b *randomBoard) truncate() {
	pos := max(0, len(b.hidden)/8-b.rng.IntN(9))
	b.hidden = b.hidden[:pos*8]
	if err := b.s.Truncate(pos); err != nil {
		b.t.Fatalf("seed %d: %v", b.seed, err)
	}
}

// ask wants a row at or near the end. While detached, or when the connection
// dies, ErrLost is right.
func (b *randomBoard) ask() {
	if len(b.hidden) == 0 {
		return
	}
	n := len(b.hidden)/8 - b.rng.IntN(min(3, len(b.hidden)/8))
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	a, err := b.s.Ask(ctx, n-1, 0)
	var remote *cloudlink.RemoteError
	switch {
	case errors.Is(err, cloudlink.ErrLost), errors.As(err, &remote) && remote.Code == wire.CodeBusy:
		b.lost++
	case err != nil:
		b.t.Fatalf("seed %d: %v, %+v, cloud %+v", b.seed, err, b.s.Stats(), b.server.Stats())
	case !slices.Equal(a.Row, fakestage.Expect(b.hidden[:n*8], 8, 100)):
		b.t.Fatalf("seed %d: wrong logits after %d rows, %+v", b.seed, n, b.s.Stats())
	default:
		b.asked++
	}
}

func (b *randomBoard) attach() {
	if b.s.Lost() == nil {
		return
	}
	b.client.Close()
	c, err := cloudlink.Dial(b.t.Context(), b.config())
	if err == nil {
		b.client = c
		err = c.Resume(b.t.Context(), b.s)
	}
	if err != nil && !errors.Is(err, cloudlink.ErrLost) {
		b.t.Fatalf("seed %d: %v", b.seed, err)
	}
}

func (b *randomBoard) config() cloudlink.Config {
	return cloudlink.Config{
		Addr: "192.0.2.2:2", TLS: b.clientTLS, Socket: b.board, Tickets: b.store, Epochs: b.store,
	}
}

// crowd lets two others in, for which the session's context may have to go.
func (b *randomBoard) crowd() {
	time.Sleep(3 * time.Second) // not in use
	for range 2 {
		o, err := b.client.OpenSession(b.t.Context(), cloudlink.SessionOptions{
			Bundle: earlyBundle, Width: 8, Context: 2048, Durable: true,
		})
		if err != nil {
			return // not connected
		}
		rows := randomRows(b.rng, 5, 8)
		o.Append(0, rows)
		if _, err := o.Ask(b.t.Context(), 4, 1); err != nil && !errors.Is(err, cloudlink.ErrLost) && !errors.Is(err, cloudlink.ErrBusy) {
			b.t.Fatalf("seed %d: a newcomer: %v", b.seed, err)
		}
		defer o.Close()
	}
}
