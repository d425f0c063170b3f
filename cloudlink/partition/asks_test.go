package partition_test

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

const largeVocab = 1 << 17

// A board may have asks wait for rows that never come, up to its share of the
// budget: the rest are refused as busy, another board is served, and what waited
// is let go with its session.
func TestWaitingAsksCount(t *testing.T) {
	const budget = 64 << 20
	c := newEight(t, fakestage.New(width, largeVocab, 8, 8*1024, 64), func(conf *partition.Config) {
		conf.Budget, conf.Log, conf.MaxWait = budget, slog.New(slog.DiscardHandler), time.Hour
	})
	mask := make([]int32, 1<<18)
	for i := range mask {
		mask[i] = int32(i)
	}
	one := wire.NewAsk(wire.Ref{Epoch: 1, Position: 99}, 0, 1, mask)
	before := heap()
	raw := c.dialRaw(t)
	for id := range byte(2) {
		s := raw.stream(encode(t, openMsg(id)))
		refused := make(chan int, 1)
		go func() {
			n := 0
			for r := wire.NewReader(s, 0); ; {
				m, err := r.Next()
				if err != nil {
					refused <- n
					return
				}
				if e, ok := m.(*wire.Error); ok && e.Code == wire.CodeBusy && e.RetryAfter > 0 && !e.Fatal {
					if n++; n == 64-8 {
						refused <- n
						return
					}
				}
			}
		}()
		one.Session = wire.SessionID{id}
		for i := range uint32(64) {
			one.Serial = i
			_, err := s.Write(encode(t, one))
			must(t, err)
		}
		if n := <-refused; n < 64-8 {
			t.Fatalf("%d of 64 asks are refused", n)
		}
	}
	st := c.server.Stats()
	if st.Memory.Asks == 0 || st.Memory.Asks > budget/16 || st.Waiting == 0 {
		t.Errorf("%d bytes of %d asks are counted, a board may have %d", st.Memory.Asks, st.Waiting, budget/16)
	}
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	var own int64
	for _, d := range c.server.Devices() {
		own += d.Asks
	}
	if own != st.Memory.Asks {
		t.Errorf("%d bytes by device, %d in all", own, st.Memory.Asks)
	}
	other := open(t, c.dial(t)) // of another board
	hidden := rows(rand.New(rand.NewPCG(1, 1)), 1)
	must(t, other.Append(0, hidden))
	if a := ask(t, other, 0, 0); !slices.Equal(a.Row, fakestage.Expect(hidden, width, largeVocab)) {
		t.Error("the other board's row is wrong")
	}
	raw.Close(transport.CodeNone, "")
	eventually(t, func() bool { st := c.server.Stats(); return st.Memory.Asks == 0 && st.Waiting == 0 })
}

// All kinds of answers of one row are right, those that are made in the session's
// own time too, and asked again of the kept row.
func TestLargeAnswers(t *testing.T) {
	const vocab = 5000
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64))
	s := open(t, c.dial(t))
	hidden := rows(rand.New(rand.NewPCG(3, 3)), 2)
	must(t, s.Append(0, hidden))
	row := fakestage.Expect(hidden, width, vocab)
	ids := make([]int32, vocab)
	for i := range ids {
		ids[i] = int32(i)
	}
	slices.SortStableFunc(ids, func(a, b int32) int {
		switch {
		case row[a] > row[b]:
			return -1
		case row[a] < row[b]:
			return 1
		}
		return 0
	})
	even := slices.DeleteFunc(slices.Clone(ids), func(id int32) bool { return id%2 > 0 })
	for _, k := range []struct {
		name string
		k    int
		mask []int32
		want []int32
	}{
		{"one", 1, nil, ids[:1]}, {"all that is quick", 1024, nil, ids[:1024]}, {"more", 1025, nil, ids[:1025]},
		{"as many as there are", vocab, nil, ids}, {"more than there are", 1 << 30, nil, ids},
		{"a mask", 0, even, even}, {"the best of a mask", 3, even, even[:3]}, {"twice in a mask", 9, []int32{4, 4, -1, 1 << 30}, []int32{4}},
	} {
		for range 2 { // the second is of the kept row
			a, err := s.AskMasked(t.Context(), 1, k.k, k.mask)
			must(t, err)
			got := make([]int32, len(a.Candidates))
			for i, c := range a.Candidates {
				got[i] = c.ID
				if c.Logit != row[c.ID] {
					t.Fatalf("%s: token %d has %v", k.name, c.ID, c.Logit)
				}
			}
			if !slices.Equal(got, k.want) {
				t.Errorf("%s: %d candidates, want %d", k.name, len(got), len(k.want))
			}
		}
	}
	if a := ask(t, s, 1, 0); !slices.Equal(a.Row, row) {
		t.Error("the whole row is wrong")
	}
}

// What a board makes the cloud log is bounded by the minute, whatever it does,
// says so, and is not at the cost of another board's lines.
func TestLogOfABoardIsBounded(t *testing.T) {
	var mu sync.Mutex
	var log bytes.Buffer
	lines := func(with string) (n int) {
		mu.Lock()
		defer mu.Unlock()
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, with) {
				n++
			}
		}
		return n
	}
	inFleet(t, 2, costly(8), func(conf *partition.Config) {
		conf.Log = slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return log.Write(b)
		}), nil))
	}, func(t *testing.T, fl *fleet) {
		raw := fl.raw(0)
		defer raw.Close(transport.CodeNone, "")
		attack := func() {
			for i := range 400 {
				o := openMsg(0)
				o.Session = wire.SessionID{byte(i), byte(i >> 8)}
				raw.stream(encode(t, o, &wire.Close{Ref: o.Ref})).Close()
				raw.stream([]byte{0x7f, 0xff, 0xff, 0xff}).Close()
				raw.uplink([]byte{0x7f, 0xff, 0xff, 0xff})
				time.Sleep(20 * time.Millisecond)
			}
		}
		attack()
		if n, said := lines("device=board-0"), lines("the rest of this minute is left out"); n > 2*60+2 || said != 2 {
			t.Errorf("%d lines of one board in a minute, %d of them that more are left out", n, said)
		}
		if size := log.Len(); size > 64<<10 {
			t.Errorf("%d bytes of log", size)
		}
		before := lines("device=board-1")
		fl.victim(1, 1)
		time.Sleep(time.Second)
		if n := lines("device=board-1") - before; n < 4 {
			t.Errorf("%d lines of the other board", n)
		}
		time.Sleep(time.Minute)
		attack()
		if lines("lines were left out") == 0 {
			t.Error("nothing says how many lines were left out")
		}
	})
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// unconfirmed has the handshakes of a listener's connections never end.
type unconfirmed struct{ transport.Listener }

type unconfirmedConn struct{ transport.Conn }

func (unconfirmedConn) HandshakeComplete() <-chan struct{} { return nil }

func (l unconfirmed) Accept(ctx context.Context) (transport.Conn, error) {
	c, err := l.Listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return unconfirmedConn{c}, nil
}

// Connections whose handshake is not over are as many as fit a quarter of the
// budget with what they may send before anything of it is read, and in any case 16.
func TestEarlyDataCounts(t *testing.T) {
	for _, k := range []struct {
		budget int64
		most   int
	}{{1 << 20, 16}, {84 << 20, 28}} {
		dir := t.TempDir()
		ln, err := cloudlink.ListenDev("127.0.0.1:0", dir)
		must(t, err)
		c := &cloud{stage: fakestage.New(width, vocab, 2, 1024, 64), dir: dir, ln: unconfirmed{ln}}
		c.serve(t, func(conf *partition.Config) { conf.Budget, conf.Log = k.budget, slog.New(slog.DiscardHandler) })
		for range k.most + 4 {
			c.dialRaw(t)
		}
		eventually(t, func() bool { return c.server.Stats().Refused == 4 })
		if n := c.server.Stats().Memory.Early; n != int64(k.most)*768<<10 {
			t.Errorf("budget %d: %d bytes are counted, want %d", k.budget, n, int64(k.most)*768<<10)
		}
		c.stop()
	}
}

// Asks that come faster than any board has them are read later: whatever becomes of
// them, each takes the lock that all sessions share. Another board waits for none.
func TestFloodOfAsksIsReadLater(t *testing.T) {
	inFleet(t, 2, costly(4), nil, func(t *testing.T, fl *fleet) {
		alone := fl.victim(1, turns)
		raw := fl.raw(0)
		defer raw.Close(transport.CodeNone, "")
		s := raw.stream(encode(t, openMsg(1)))
		var refused atomic.Int64
		go func() {
			for r := wire.NewReader(s, 0); ; {
				m, err := r.Next()
				if err != nil {
					return
				}
				if e, ok := m.(*wire.Error); ok && e.Code == wire.CodeContextFull {
					refused.Add(1)
				}
			}
		}()
		beyond := encode(t, wire.NewAsk(wire.Ref{Session: wire.SessionID{1}, Epoch: 1, Position: 1 << 20}, 1, 1, nil))
		const asks = 3 * 4096
		go s.Write(bytes.Repeat(beyond, asks))
		time.Sleep(500 * time.Millisecond)
		if n := refused.Load(); n < 4096 || n > 4096+4096 {
			t.Errorf("%d asks were taken in half a second", n)
		}
		fl.unharmed(alone)
		time.Sleep(3 * time.Second)
		if n := refused.Load(); n != asks {
			t.Errorf("%d of %d asks are answered in the end", n, asks)
		}
	})
}
