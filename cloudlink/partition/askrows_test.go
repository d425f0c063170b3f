package partition_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/rank"
	"skerry/cloudlink/wire"
)

func ofVocab(o *cloudlink.SessionOptions) { o.Vocabulary = vocab }

// askRows asks for the n rows up to pos with patience and fails the test on an error.
func askRows(t testing.TB, s *cloudlink.Session, pos, n, topK int) []cloudlink.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := s.AskRows(ctx, pos, n, topK)
	must(t, err)
	if len(out) != n {
		t.Fatalf("%d rows, want %d", len(out), n)
	}
	return out
}

// wantRows checks the answers for the rows up to pos of a sequence to the last bit.
func wantRows(t testing.TB, got []cloudlink.Answer, hidden []float32, pos, topK int) {
	t.Helper()
	for i, a := range got {
		at := pos + 1 - len(got) + i
		row := fakestage.Expect(hidden[:(at+1)*width], width, vocab)
		if a.LogSumExp != rank.LogSumExp(row) {
			t.Fatalf("row %d has a log-sum-exp of %v, want %v", at, a.LogSumExp, rank.LogSumExp(row))
		}
		if topK == 0 {
			if !slices.Equal(a.Row, row) {
				t.Fatalf("row %d is not that of the sequence", at)
			}
			continue
		}
		best := rank.Top(row, topK)
		if len(a.Candidates) != len(best) {
			t.Fatalf("row %d has %d candidates, want %d", at, len(a.Candidates), len(best))
		}
		for k, c := range a.Candidates {
			if c.ID != best[k].ID || c.Logit != best[k].Logit {
				t.Fatalf("row %d has %+v in place %d, want %+v", at, c, k, best[k])
			}
		}
	}
}

// Several rows at once are the very numbers that asking for one after another gives, of
// whatever kind, computed in one pass with the backlog before them.
func TestRowsAreThoseOfSingleAsks(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 16, 16*1024, 64))
	client := c.dial(t)
	hidden := rows(rand.New(rand.NewPCG(21, 1)), 40)
	for _, topK := range []int{1, 2, 40, 200, vocab, 0} {
		for _, n := range []int{1, 2, 9, 40} {
			several, single := open(t, client, ofVocab), open(t, client, ofVocab)
			must(t, several.Append(0, hidden))
			must(t, single.Append(0, hidden))
			passes, computed, wanted := c.stage.Forwards.Load(), c.stage.Rows.Load(), c.stage.Wanted.Load()
			got := askRows(t, several, 39, n, topK)
			if p, r, w := c.stage.Forwards.Load()-passes, c.stage.Rows.Load()-computed, c.stage.Wanted.Load()-wanted; p != 1 || r != 40 || w != int64(n) {
				t.Errorf("%d of 40 rows took %d passes of %d rows with logits of %d", n, p, r, w)
			}
			wantRows(t, got, hidden, 39, topK)
			for i, a := range got {
				one := ask(t, single, 40-n+i, topK)
				if a.LogSumExp != one.LogSumExp || !slices.Equal(a.Candidates, one.Candidates) || !slices.Equal(a.Row, one.Row) {
					t.Fatalf("row %d of %d, %d candidates: not what a single ask gives", i, n, topK)
				}
				if a.Rows != 40 {
					t.Errorf("%d rows are said to have been computed", a.Rows)
				}
			}
			must(t, several.Close())
			must(t, single.Close())
		}
	}
}

// More rows than a pass takes, or one ask is for, and a backlog longer than the queue,
// come in the end as one.
func TestRowsOverSeveralPasses(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 2, 2048, 7), func(conf *partition.Config) { conf.MaxQueued = 16 })
	s := open(t, c.dial(t), durable)
	defer s.Close()
	hidden := rows(rand.New(rand.NewPCG(21, 2)), 200)
	got := make(chan []cloudlink.Answer)
	go func() { // before there is any
		defer close(got) // also where the test fails in it
		got <- askRows(t, s, 99, 20, 5)
	}()
	eventually(t, func() bool { return c.server.Stats().Waiting == 1 })
	for pos := range 100 { // the queue is full before the last of them have come
		must(t, s.Append(pos, hidden[pos*width:][:width]))
	}
	wantRows(t, <-got, hidden, 99, 5)
	if n := c.stage.Rows.Load(); n != 100 {
		t.Errorf("%d rows computed, there are 100", n)
	}
	must(t, s.Append(100, hidden[100*width:]))
	wantRows(t, askRows(t, s, 199, 2*wire.MaxAskRows-50, 3), hidden, 199, 3)
}

// Rows that were answered are answered again, alone, together and with others after
// them, without being computed again; what is not kept is sent and computed again.
func TestRowsAgain(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 2, 2048, 64))
	s := open(t, c.dial(t), durable, ofVocab)
	defer s.Close()
	hidden := rows(rand.New(rand.NewPCG(21, 3)), 60)
	must(t, s.Append(0, hidden[:30*width]))
	wantRows(t, askRows(t, s, 29, 8, 40), hidden, 29, 40)
	for _, n := range []int{8, 1, 3} {
		wantRows(t, askRows(t, s, 29, n, 40), hidden, 29, 40)
		wantRows(t, askRows(t, s, 29, n, 2), hidden, 29, 2)
	}
	wantRows(t, askRows(t, s, 25, 4, 40), hidden, 25, 40)
	must(t, s.Append(30, hidden[30*width:40*width]))
	wantRows(t, askRows(t, s, 33, 8, 40), hidden, 33, 40)
	wantRows(t, askRows(t, s, 33, 8, 40), hidden, 33, 40)
	if n := c.stage.Rows.Load(); n != 34 {
		t.Errorf("%d rows computed, there are 34", n)
	}
	if st := s.Stats(); st.Repeats != 0 {
		t.Errorf("%+v", st)
	}
	wantRows(t, askRows(t, s, 39, 20, 2), hidden, 39, 2) // those below 26 have no logits any more
	wantRows(t, askRows(t, s, 39, 5, 0), hidden, 39, 0)  // only the newest is kept whole
	wantRows(t, askRows(t, s, 39, 5, 0), hidden, 39, 0)
	if st := s.Stats(); st.Repeats != 3 {
		t.Errorf("rows were wanted again %d times", st.Repeats)
	}

	passing := open(t, c.dial(t, inEpoch(2))) // a board that cannot send again
	must(t, passing.Append(0, hidden))
	ask(t, passing, 9, 1)
	_, err := passing.AskRows(t.Context(), 12, 6, 1)
	wantErr(t, err, cloudlink.ErrStale)
	wantRows(t, askRows(t, passing, 12, 3, 1), hidden, 12, 1)
}

// A board truncates after every rejected draft and appends other rows in the place of
// those that were checked: it is answered about the rows of now, also when an ask about
// those of before was given up or is being computed.
func TestRowsAfterRejectedDrafts(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 2, 4096, 16))
	client := c.dial(t)
	s := open(t, client, durable, ofVocab, func(o *cloudlink.SessionOptions) { o.Context = 4096 })
	defer s.Close()
	rng := rand.New(rand.NewPCG(21, 4))
	hidden := rows(rng, 20)
	must(t, s.Append(0, hidden))
	epoch := uint64(1)
	for round := range 60 {
		draft := 1 + rng.IntN(8)
		at := len(hidden) / width
		hidden = append(hidden, rows(rng, draft)...)
		must(t, s.Append(at, hidden[at*width:]))
		n := min(draft+1+rng.IntN(3), at+draft)
		switch round % 6 {
		case 2: // nobody waits for it
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(1000))*time.Microsecond)
			s.AskRows(ctx, at+draft-1, n, 4)
			cancel()
		case 4:
			must(t, client.Close())
			epoch++
			client = c.resumed(t, s, epoch)
			if round%12 == 4 {
				c.server.Evict("")
			}
			fallthrough
		default:
			topK := []int{1, 4, 0}[rng.IntN(3)]
			wantRows(t, askRows(t, s, at+draft-1, n, topK), hidden, at+draft-1, topK)
		}
		accepted := at + rng.IntN(draft+1)
		must(t, s.Truncate(accepted))
		hidden = append(hidden[:accepted*width:accepted*width], rows(rng, 1)...)
		must(t, s.Append(accepted, hidden[accepted*width:]))
	}
	wantRow(t, ask(t, s, len(hidden)/width-1, 0), hidden)
}

// Asks that come while their rows are computed for others get them from the same pass,
// or where they want more of a row than that makes, from another.
func TestRowsUnderWay(t *testing.T) {
	stage := fakestage.New(width, vocab, 2, 1024, 64)
	entered, goOn := make(chan struct{}), make(chan struct{})
	first := true
	stage.Before = func(int) {
		if first {
			first = false
			close(entered)
			<-goOn
		}
	}
	c := newCloud(t, stage)
	s := open(t, c.dial(t), durable)
	defer s.Close()
	hidden := rows(rand.New(rand.NewPCG(21, 5)), 12)
	must(t, s.Append(0, hidden))
	type result struct {
		got       []cloudlink.Answer
		pos, topK int
	}
	results := make(chan result)
	start := func(pos, n, topK int) {
		go func() { results <- result{askRows(t, s, pos, n, topK), pos, topK} }()
	}
	start(9, 4, 5)
	<-entered
	start(9, 3, 5)
	start(8, 1, 2)
	start(11, 5, 4)
	start(10, 3, 30) // two of them were not made so wide
	eventually(t, func() bool { return c.server.Stats().Waiting == 5 })
	close(goOn)
	for range 5 {
		r := <-results
		wantRows(t, r.got, hidden, r.pos, r.topK)
	}
}

// Asks for rows that no honest board makes are refused, and bounded by the bytes of their
// answers; a session of the same connection goes on.
func TestHostileAsksForRows(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 16, 16*1024, 64))
	raw := c.dialRaw(t)
	frame := func(header ...byte) []byte {
		return append([]byte{byte(wire.TypeAsk), byte(len(header)), 0}, header...)
	}
	for name, b := range map[string][]byte{
		"more than there may be": frame(0xa2, 4, 0x18, 99, 9, 0x18, 65),
		"before the context":     frame(0xa2, 4, 2, 9, 4),
		"an age of rows":         frame(0xa2, 4, 0x18, 99, 9, 0x1a, 0xff, 0xff, 0xff, 0xff),
		"less than none":         frame(0xa2, 4, 0x18, 99, 9, 0x20),
	} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, raw.stream(append(encode(t, openMsg(byte(len(name)))), b...)), wire.CodeProtocol)
		})
	}
	hidden := rows(rand.New(rand.NewPCG(21, 6)), 4)
	s := raw.stream(encode(t, openMsg(1)))
	raw.uplink(encode(t, header(1), wire.EncodeHidden(0, width, hidden, wire.F32)))
	several := wire.NewAsk(wire.Ref{Session: wire.SessionID{1}, Epoch: 1, Position: 3}, 7, 2, nil)
	several.Rows = 4
	_, err := s.Write(encode(t, several))
	must(t, err)
	r := wire.NewReader(s, 0)
	r.Next() // Opened
	m, err := r.Next()
	must(t, err)
	a, ok := m.(*wire.Answer)
	if !ok || a.Len() != 4 || a.Serial != 7 || a.Position != 3 {
		t.Fatalf("%+v", m)
	}
	ids, logits, sum := a.Row(1)
	row := fakestage.Expect(hidden[:2*width], width, vocab)
	if best := rank.Top(row, 2); ids[0] != best[0].ID || logits[1] != best[1].Logit || sum != rank.LogSumExp(row) {
		t.Errorf("%v %v %v", ids, logits, sum)
	}
}

// Whole rows of a large vocabulary are asked for in parts that have room, and count for
// what they take while they wait.
func TestRowsOfALargeVocabulary(t *testing.T) {
	c := newCloud(t, fakestage.New(width, largeVocab, 2, 1024, 64))
	s := open(t, c.dial(t), durable, func(o *cloudlink.SessionOptions) { o.Vocabulary = largeVocab })
	defer s.Close()
	hidden := rows(rand.New(rand.NewPCG(21, 7)), 20)
	must(t, s.Append(0, hidden))
	got := askRows(t, s, 19, 12, 0)
	for i, a := range got {
		if !slices.Equal(a.Row, fakestage.Expect(hidden[:(9+i)*width], width, largeVocab)) {
			t.Fatalf("row %d is wrong", i)
		}
	}
	if st := s.Stats(); st.Asks != 2 {
		t.Errorf("%d asks for 12 rows of %d bytes", st.Asks, 4*largeVocab)
	}
	eventually(t, func() bool { return c.server.Stats().Memory.Asks == 0 })

	raw := c.dialRaw(t)
	stream := raw.stream(encode(t, openMsg(1)))
	for _, a := range []struct{ rows, topK, code uint32 }{
		{64, 0, uint32(wire.CodeProtocol)}, {9, 0, uint32(wire.CodeProtocol)}, {64, 1 << 30, uint32(wire.CodeProtocol)}, {64, 16 << 10, uint32(wire.CodeProtocol)},
	} {
		m := wire.NewAsk(wire.Ref{Session: wire.SessionID{1}, Epoch: 1, Position: 99}, 1, a.topK, nil)
		m.Rows = a.rows
		_, err := stream.Write(encode(t, m))
		must(t, err)
	}
	r := wire.NewReader(stream, 0)
	r.Next() // Opened
	for range 4 {
		m, err := r.Next()
		must(t, err)
		if e, ok := m.(*wire.Error); !ok || e.Code != wire.CodeProtocol || e.Fatal {
			t.Errorf("%+v", m)
		}
	}
	m := wire.NewAsk(wire.Ref{Session: wire.SessionID{1}, Epoch: 1, Position: 99}, 2, 100, nil)
	m.Rows = 64
	_, err := stream.Write(encode(t, m))
	must(t, err)
	eventually(t, func() bool { return c.server.Stats().Memory.Asks >= 64*100*8 })
}

// Token ids take the same asks as hidden states: rows of the whole model, over rejected
// drafts and lost contexts.
func TestRowsOfTokenIDs(t *testing.T) {
	whole := fakestage.New(1, vocab, 2, 1024, 64)
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), withWhole(whole))
	client := c.dial(t)
	s := open(t, client, tokens, durable)
	defer s.Close()
	ids := []int32{3, 1, 4, 1, 5, 9, 2, 6, 5, 3}
	check := func(got []cloudlink.Answer, end int) {
		t.Helper()
		for i, a := range got {
			n := end - len(got) + i + 1
			if best := rank.Top(fakestage.ExpectTokens(ids[:n], vocab), 3); a.Candidates[0].ID != best[0].ID || a.Candidates[2].Logit != best[2].Logit {
				t.Fatalf("after %d ids: %+v", n, a.Candidates)
			}
		}
	}
	must(t, s.AppendTokens(0, ids))
	check(askRows(t, s, 9, 4, 3), 10)
	must(t, s.Truncate(7))
	ids = append(ids[:7], 499, 0, 7)
	must(t, s.AppendTokens(7, ids[7:]))
	check(askRows(t, s, 9, 4, 3), 10)
	must(t, client.Close())
	c.server.Evict("")
	c.resumed(t, s, 2)
	ids = append(ids, 44)
	must(t, s.AppendTokens(10, ids[10:]))
	check(askRows(t, s, 10, 11, 3), 11)
	if c.stage.Rows.Load() != 0 {
		t.Error("the tail stage computed token ids")
	}
}

// The rows of many sessions share passes, and each gets its own.
func TestRowsOfManySessions(t *testing.T) {
	const boards, rounds = 8, 12
	c := newCloud(t, fakestage.New(width, vocab, boards, boards*1024, 64))
	client := c.dial(t)
	done := make(chan error, boards)
	for b := range boards {
		s := open(t, client)
		go func() {
			rng := rand.New(rand.NewPCG(22, uint64(b)))
			var hidden []float32
			for range rounds {
				at, n := len(hidden)/width, 1+rng.IntN(9)
				hidden = append(hidden, rows(rng, n)...)
				if err := s.Append(at, hidden[at*width:]); err != nil {
					done <- err
					return
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				got, err := s.AskRows(ctx, at+n-1, n, 1)
				cancel()
				for i := 0; err == nil && i < n; i++ {
					if best := rank.Top(fakestage.Expect(hidden[:(at+i+1)*width], width, vocab), 1); got[i].Candidates[0].ID != best[0].ID {
						err = fmt.Errorf("board %d, row %d: %+v", b, at+i, got[i].Candidates)
					}
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range boards {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
