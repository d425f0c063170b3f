package partition_test

import (
	"math/rand/v2"
	"testing"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
)

// TestContextOutlivesServer: a server that ends writes contexts down, and the next has
// nothing sent nor computed again.
func TestContextOutlivesServer(t *testing.T) {
	s := fakestage.NewShelf()
	first := newCloud(t, fakestage.New(width, vocab, 2, 2048, 64), s.Keep)
	client := first.dial(t)
	session := open(t, client, durable)
	defer session.Close()
	hidden := rows(rand.New(rand.NewPCG(9, 1)), 500)
	must(t, session.Append(0, hidden[:400*width]))
	wantRow(t, ask(t, session, 399, 0), hidden[:400*width])
	must(t, session.Truncate(350))
	must(t, session.Append(350, hidden[350*width:380*width]))
	wantRow(t, ask(t, session, 379, 0), hidden[:380*width])
	eventually(t, func() bool { return session.Stats().Confirmed == 380 })
	first.stop()
	<-session.Detached()
	must(t, session.Append(380, hidden[380*width:]))

	second := newCloud(t, fakestage.New(width, vocab, 2, 2048, 64), s.Keep)
	second.resumed(t, session, 2)
	wantRow(t, ask(t, session, 499, 0), hidden)
	if n := second.stage.Rows.Load(); n != 120 {
		t.Errorf("%d rows computed of 120", n)
	}
	if st := second.server.Stats(); st.Restored != 1 || session.Stats().Repeats != 0 {
		t.Errorf("%+v", st)
	}
	// It goes on as any other: a draft is taken back into what was read.
	must(t, session.Truncate(200))
	must(t, session.Append(200, hidden[:50*width]))
	want := append(append([]float32{}, hidden[:200*width]...), hidden[:50*width]...)
	wantRow(t, ask(t, session, 249, 0), want)
}

// TestContextOutlivesKill: what was written while nothing was to do stands for a server that
// was killed, as far as the board has not left it since.
func TestContextOutlivesKill(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		s := fakestage.NewShelf()
		first := newCloud(t, fakestage.New(width, vocab, 2, 2048, 64), s.Keep)
		session := open(t, first.dial(t), durable)
		hidden := rows(rand.New(rand.NewPCG(9, 2)), 420)
		must(t, session.Append(0, rows(rand.New(rand.NewPCG(9, 3)), 400)))
		ask(t, session, 399, 0)
		eventually(t, func() bool { return first.server.Stats().Saved == 1 })
		s.Mu.Lock()
		s.Deaf = deaf
		s.Mu.Unlock()
		// Another text from position 0 on, or the same of which the file knows too little.
		must(t, session.Truncate(0))
		must(t, session.Append(0, hidden[:100*width]))
		wantRow(t, ask(t, session, 99, 0), hidden[:100*width])
		eventually(t, func() bool { return session.Stats().Confirmed == 100 })
		killed := s.Copied()
		first.stop()
		<-session.Detached()
		must(t, session.Append(100, hidden[100*width:]))
		second := newCloud(t, fakestage.New(width, vocab, 2, 2048, 64), killed.Keep)
		second.resumed(t, session, 2)
		wantRow(t, ask(t, session, 419, 0), hidden)
		if st := second.server.Stats(); st.Restored != 0 {
			t.Errorf("a file of a text that was left was read: %+v", st)
		}
		must(t, session.Close())
		second.stop()
	}
}

// TestKeptPrefix: of a file from which drafts were taken back since, the rest stands.
func TestKeptPrefix(t *testing.T) {
	s := fakestage.NewShelf()
	first := newCloud(t, fakestage.New(width, vocab, 2, 2048, 64), s.Keep)
	session := open(t, first.dial(t), durable)
	defer session.Close()
	hidden := rows(rand.New(rand.NewPCG(9, 4)), 420)
	must(t, session.Append(0, hidden[:300*width]))
	must(t, session.Append(300, rows(rand.New(rand.NewPCG(9, 5)), 100)))
	ask(t, session, 399, 0)
	eventually(t, func() bool { return first.server.Stats().Saved == 1 })
	for n := 310; n <= 330; n += 10 { // drafts that are taken back
		must(t, session.Truncate(n-10))
		must(t, session.Append(n-10, hidden[(n-10)*width:n*width]))
		wantRow(t, ask(t, session, n-1, 0), hidden[:n*width])
	}
	eventually(t, func() bool { return session.Stats().Confirmed == 330 })
	killed := s.Copied()
	first.stop()
	<-session.Detached()
	must(t, session.Append(330, hidden[330*width:]))
	second := newCloud(t, fakestage.New(width, vocab, 2, 2048, 64), killed.Keep)
	second.resumed(t, session, 2)
	wantRow(t, ask(t, session, 419, 0), hidden)
	if n, st := second.stage.Rows.Load(), second.server.Stats(); n != 120 || st.Restored != 1 {
		t.Errorf("%d rows computed of the 120 behind the file's, %d files read", n, st.Restored)
	}
}

// TestKeptOfNoUse: a file that the stage does not take is deleted, and its board sends again.
func TestKeptOfNoUse(t *testing.T) {
	s := fakestage.NewShelf()
	first := newCloud(t, fakestage.New(width, vocab, 2, 2048, 64), s.Keep)
	session := open(t, first.dial(t), durable)
	defer session.Close()
	hidden := rows(rand.New(rand.NewPCG(9, 6)), 300)
	must(t, session.Append(0, hidden))
	wantRow(t, ask(t, session, 299, 0), hidden)
	eventually(t, func() bool { return session.Stats().Confirmed == 300 })
	first.stop()
	<-session.Detached()
	for id, k := range s.Kept {
		k.State = k.State[:len(k.State)-8]
		s.Kept[id] = k
	}
	second := newCloud(t, fakestage.New(width, vocab, 2, 2048, 64), s.Keep)
	second.resumed(t, session, 2)
	wantRow(t, ask(t, session, 299, 0), hidden)
	if st := second.server.Stats(); st.Restored != 0 || second.stage.Rows.Load() != 300 {
		t.Errorf("%+v", st)
	}
}

// TestKeptIsForgotten: nothing is kept of a session that its board closes, nor of one whose
// contexts are evicted by the operator.
func TestKeptIsForgotten(t *testing.T) {
	s := fakestage.NewShelf()
	c := newCloud(t, fakestage.New(width, vocab, 2, 2048, 64), s.Keep)
	client := c.dial(t)
	closed, evicted := open(t, client, durable), open(t, client, durable)
	defer evicted.Close()
	hidden := rows(rand.New(rand.NewPCG(9, 7)), 200)
	for _, session := range []*cloudlink.Session{closed, evicted} {
		must(t, session.Append(0, hidden))
		wantRow(t, ask(t, session, 199, 0), hidden)
	}
	eventually(t, func() bool { return s.Held() == 2 })
	must(t, closed.Close())
	eventually(t, func() bool { return s.Held() == 1 })
	c.server.Evict("")
	eventually(t, func() bool { return s.Held() == 0 })
	wantRow(t, ask(t, evicted, 199, 0), hidden)
}

// TestEvictedContextIsKept: a context that gives way to another's goes on from its file.
func TestEvictedContextIsKept(t *testing.T) {
	s := fakestage.NewShelf()
	c := newCloud(t, fakestage.New(width, vocab, 1, 2048, 64), s.Keep)
	var sessions [2]*cloudlink.Session
	hidden := rows(rand.New(rand.NewPCG(9, 8)), 200)
	for i := range sessions {
		client := c.dial(t, inEpoch(uint64(i+1)))
		sessions[i] = open(t, client, durable)
		defer sessions[i].Close()
		must(t, sessions[i].Append(0, hidden))
		wantRow(t, ask(t, sessions[i], 199, 0), hidden)
		eventually(t, func() bool { return sessions[i].Stats().Confirmed == 200 })
		must(t, client.Close())
		eventually(t, func() bool { st := c.server.Stats(); return st.Connections == 0 && st.Contexts == 1 })
	}
	eventually(t, func() bool { return s.Held() == 2 })
	computed := c.stage.Rows.Load()
	c.resumed(t, sessions[0], 10)
	more := rows(rand.New(rand.NewPCG(9, 9)), 5)
	must(t, sessions[0].Append(200, more))
	wantRow(t, ask(t, sessions[0], 204, 0), append(append([]float32{}, hidden...), more...))
	if n := c.stage.Rows.Load() - computed; n != 5 {
		t.Errorf("%d rows computed of 5", n)
	}
}
