package partition_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
)

// later is a clock that tests move on by hand.
func later(c *partition.Config) (moveOn func(time.Duration)) {
	moved := make(chan time.Duration, 1)
	moved <- 0
	c.Clock = func() time.Time {
		d := <-moved
		moved <- d
		return time.Now().Add(d)
	}
	return func(by time.Duration) { moved <- <-moved + by }
}

// TestDetachedContextIsEvictedFirst: a newcomer takes the sequence of the board
// that left longest ago, and that board notices nothing but time.
func TestDetachedContextIsEvictedFirst(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 2, 4096, 64))
	rng := rand.New(rand.NewPCG(8, 1))
	var sessions []*cloudlink.Session
	var hidden [][]float32
	for i := range uint64(4) {
		client := c.dial(t, inEpoch(i+1))
		s := open(t, client, durable)
		defer s.Close()
		h := rows(rng, 40)
		must(t, s.Append(0, h))
		wantRow(t, ask(t, s, 39, 0), h)
		sessions, hidden = append(sessions, s), append(hidden, h)
		must(t, client.Close())
		eventually(t, func() bool { st := c.server.Stats(); return st.Connections == 0 && st.Contexts == min(int(i)+1, 2) })
	}
	if st := c.server.Stats(); st.Evicted != 2 || st.Reserved != 80 {
		t.Fatalf("%+v", st)
	}
	c.resumed(t, sessions[3], 10) // still there
	wantRow(t, ask(t, sessions[3], 39, 0), hidden[3])
	if st := sessions[3].Stats(); st.Repeats != 0 {
		t.Errorf("%+v", st)
	}
	c.resumed(t, sessions[0], 11) // evicted long ago
	wantRow(t, ask(t, sessions[0], 39, 0), hidden[0])
	if st := sessions[0].Stats(); st.Rows != 80 {
		t.Errorf("%+v", st)
	}
}

// TestIdleAttachedContextIsEvicted: with every sequence taken by boards that
// are connected, the one that was idle longest gives way, once it is idle at
// all, and its next ask is answered all the same.
func TestIdleAttachedContextIsEvicted(t *testing.T) {
	var moveOn func(time.Duration)
	c := newCloud(t, fakestage.New(width, vocab, 2, 4096, 64), func(conf *partition.Config) { moveOn = later(conf) })
	client := c.dial(t)
	rng := rand.New(rand.NewPCG(8, 2))
	made := func() (*cloudlink.Session, []float32) {
		s, h := open(t, client, durable), rows(rng, 40)
		must(t, s.Append(0, h))
		return s, h
	}
	first, h1 := made()
	wantRow(t, ask(t, first, 39, 0), h1)
	second, h2 := made()
	wantRow(t, ask(t, second, 39, 0), h2)
	busy, _ := made()
	wantErr(t, ready(t, busy), cloudlink.ErrBusy) // both are in use

	moveOn(time.Minute)
	wantRow(t, ask(t, second, 39, 0), h2) // in use again
	third, h3 := made()
	wantRow(t, ask(t, third, 39, 0), h3)
	if st := c.server.Stats(); st.Evicted != 1 {
		t.Fatalf("%+v", st)
	}
	more := rows(rng, 3)
	must(t, first.Append(40, more)) // no ask: nothing is sent again for it
	h1 = append(h1, more...)
	moveOn(time.Minute)
	wantRow(t, ask(t, first, 42, 0), h1)
	if st := first.Stats(); st.Repeats != 1 || st.Rows < 40+43 || st.Rows > 40+3+43 {
		t.Errorf("%+v", st)
	}
	for _, s := range []*cloudlink.Session{first, second, third, busy} {
		must(t, s.Close())
	}
	eventually(t, func() bool {
		st := c.server.Stats()
		return st.Reserved == 0 && st.Memory.Fixed == 0 && st.Memory.Queues == 0
	})
}

// TestEverySessionHasItsOwnContext: sessions that all use their whole context
// take nothing from each other.
func TestEverySessionHasItsOwnContext(t *testing.T) {
	stage := fakestage.New(width, vocab, 4, 100, 16)
	c := newCloud(t, stage)
	client := c.dial(t)
	rng := rand.New(rand.NewPCG(8, 3))
	for range 4 {
		s, h := open(t, client, durable, func(o *cloudlink.SessionOptions) { o.Context = 100 }), rows(rng, 100)
		must(t, s.Append(0, h))
		wantRow(t, ask(t, s, 99, 0), h)
	}
	if st := c.server.Stats(); st.Reserved != 400 || st.Evicted != 0 {
		t.Errorf("%d positions held, %d evicted", st.Reserved, st.Evicted)
	}
}

// TestBudgetEvicts: contexts of boards that left stay within the budget.
func TestBudgetEvicts(t *testing.T) {
	stage := fakestage.New(width, vocab, 64, 64*1024, 64)
	stage.PositionBytesN = 1000
	const budget = 10 << 20
	c := newCloud(t, stage, func(conf *partition.Config) { conf.Budget = budget })
	client := c.dial(t)
	rng := rand.New(rand.NewPCG(8, 4))
	for range 3 {
		s, h := open(t, client, durable, func(o *cloudlink.SessionOptions) { o.Context = 4096 }), rows(rng, 4000)
		defer s.Close()
		must(t, s.Append(0, h))
		wantRow(t, ask(t, s, 3999, 0), h)
	}
	if st := c.server.Stats(); st.Memory.KV != 12000*1000 && st.Evicted == 0 { // a slow machine may evict by now
		t.Fatalf("%+v", st.Memory)
	}
	must(t, client.Close())
	eventually(t, func() bool {
		st := c.server.Stats()
		return st.Sessions == 0 && st.Evicted > 0 && st.Memory.Total() <= budget && st.Memory.KV == int64(c.stage.Held())*1000
	})
	if st := c.server.Stats(); st.Contexts != 2 {
		t.Errorf("%+v", st)
	}
}
