package partition_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	_ "skerry/build/testseed" // of rapid
	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/linksim"
)

// TestTruncateEqualsNeverDrafted drafts, truncates in mid-flight and asks at
// random, over a link that delays, limits and loses, and checks every answer
// against the rows that were never taken back.
func TestTruncateEqualsNeverDrafted(t *testing.T) {
	const sessions = 8
	stage := fakestage.New(width, vocab, sessions, sessions*4096, 48)
	c := newCloud(t, stage)
	spec, err := linksim.Parse("rtt=2ms,rate=40mbit,loss=1%")
	must(t, err)
	link, err := linksim.Start(t.Context(), spec, udpAddr(c.ln.Addr()), 7)
	must(t, err)
	t.Cleanup(func() { link.Close() })
	client := c.dial(t, func(conf *cloudlink.Config) { conf.Addr = link.Addr().String() })
	rapid.Check(t, func(rt *rapid.T) {
		// A session that was closed is still there until its Close arrives.
		eventually(t, func() bool { return c.server.Stats().Sessions < sessions })
		s := open(t, client, func(o *cloudlink.SessionOptions) { o.Context = 4096 })
		defer s.Close()
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 3))
		var kept []float32
		for range rapid.IntRange(1, 12).Draw(rt, "rounds") {
			more := rows(rng, rapid.IntRange(1, 60).Draw(rt, "draft"))
			if err := s.Append(len(kept)/width, more); err != nil {
				rt.Fatal(err)
			}
			kept = append(kept, more...)
			if rapid.Bool().Draw(rt, "reject") {
				pos := rapid.IntRange(0, len(kept)/width).Draw(rt, "pos")
				if rapid.Bool().Draw(rt, "one") { // as in verified: mostly the last few
					pos = max(0, len(kept)/width-1)
				}
				if err := s.Truncate(pos); err != nil {
					rt.Fatal(err)
				}
				kept = kept[:pos*width]
				continue
			}
			if rapid.Bool().Draw(rt, "ask") {
				a := ask(t, s, len(kept)/width-1, 0)
				if !slices.Equal(a.Row, fakestage.Expect(kept, width, vocab)) {
					rt.Fatalf("wrong logits after %d positions", len(kept)/width)
				}
			}
		}
		more := rows(rng, 1)
		kept = append(kept, more...)
		if err := s.Append(len(kept)/width-1, more); err != nil {
			rt.Fatal(err)
		}
		a := ask(t, s, len(kept)/width-1, 0)
		if !slices.Equal(a.Row, fakestage.Expect(kept, width, vocab)) {
			rt.Fatalf("wrong logits at the end, %d positions", len(kept)/width)
		}
	})
	eventually(t, func() bool { return stage.Held() == 0 && c.server.Stats().Reserved == 0 })
	if up := link.Up(); up.Dropped == 0 {
		t.Errorf("the link lost nothing of %d packets", up.Packets)
	}
}

// TestTruncateEndsAsks: who waits for a draft that is taken back is told.
func TestTruncateEndsAsks(t *testing.T) {
	stage := fakestage.New(width, vocab, 1, 1024, 64)
	c := newCloud(t, stage)
	s := open(t, c.dial(t))
	got := make(chan error, 1)
	go func() {
		_, err := s.Ask(context.Background(), 5, 1) // a row that never comes
		got <- err
	}()
	eventually(t, func() bool { return c.server.Stats().Waiting == 1 })
	must(t, s.Truncate(0))
	wantErr(t, <-got, cloudlink.ErrTruncated)
	eventually(t, func() bool { return c.server.Stats().Waiting == 0 })
}

// TestAskAfterTruncate asks for the last row that stood before any new one is
// appended: it is answered again, or refused as stale, and never left waiting.
func TestAskAfterTruncate(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	s := open(t, c.dial(t))
	hidden := rows(rand.New(rand.NewPCG(1, 7)), 10)
	must(t, s.Append(0, hidden))
	wantRow(t, ask(t, s, 9, 0), hidden)
	must(t, s.Truncate(10))
	wantRow(t, ask(t, s, 9, 0), hidden)
	must(t, s.Truncate(8))
	_, err := s.Ask(t.Context(), 7, 0)
	wantErr(t, err, cloudlink.ErrStale)
}

// TestReceiptsFreeRows: what the cloud has confirmed is not kept on the board.
func TestReceiptsFreeRows(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	s := open(t, c.dial(t))
	hidden := rows(rand.New(rand.NewPCG(1, 8)), 300)
	must(t, s.Append(0, hidden))
	eventually(t, func() bool { return s.Stats().Confirmed == 300 })
	must(t, s.Truncate(200))
	must(t, s.Append(200, hidden[200*width:]))
	eventually(t, func() bool { return s.Stats().Confirmed == 300 })
	if st := s.Stats(); st.Rows != 400 || st.Branch != 1 || st.CloudBytes == 0 {
		t.Errorf("%+v", st)
	}
	wantRow(t, ask(t, s, 299, 0), hidden)
}
