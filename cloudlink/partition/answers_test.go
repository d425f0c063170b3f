package partition_test

import (
	"context"
	"math"
	"math/rand/v2"
	"sort"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
)

// TestLazyCatchUp appends 500 positions and asks once.
func TestLazyCatchUp(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 2, 2048, 64))
	s := open(t, c.dial(t))
	hidden := rows(rand.New(rand.NewPCG(1, 1)), 500)
	for pos := range 500 {
		must(t, s.Append(pos, hidden[pos*width:(pos+1)*width]))
	}
	a := ask(t, s, 499, 0)
	wantRow(t, a, hidden)
	if a.Rows != 500 || c.stage.Rows.Load() != 500 {
		t.Errorf("answer says %d rows, the stage computed %d", a.Rows, c.stage.Rows.Load())
	}
	if c.stage.Wanted.Load() != 1 || c.stage.Forwards.Load() != 8 {
		t.Errorf("%d rows of logits in %d forwards of 64", c.stage.Wanted.Load(), c.stage.Forwards.Load())
	}
}

// TestNothingComputedUnasked: hidden states only queue.
func TestNothingComputedUnasked(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	s := open(t, c.dial(t))
	hidden := rows(rand.New(rand.NewPCG(1, 2)), 30)
	must(t, s.Append(0, hidden))
	a := ask(t, s, 9, 0)
	wantRow(t, a, hidden[:10*width])
	if n := c.stage.Rows.Load(); n != 10 {
		t.Errorf("%d rows computed for an ask at 9", n)
	}
}

// TestAskBeforeRows: the ask overtakes the rows it needs.
func TestAskBeforeRows(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	s := open(t, c.dial(t))
	hidden := rows(rand.New(rand.NewPCG(1, 3)), 5)
	got := make(chan cloudlink.Answer, 1)
	go func() {
		a, err := s.Ask(context.Background(), 4, 0)
		if err != nil {
			t.Error(err)
		}
		got <- a
	}()
	for pos := range 5 {
		must(t, s.Append(pos, hidden[pos*width:(pos+1)*width]))
	}
	wantRow(t, <-got, hidden)
}

func TestTopK(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	s := open(t, c.dial(t))
	hidden := rows(rand.New(rand.NewPCG(1, 4)), 3)
	must(t, s.Append(0, hidden))
	row := fakestage.Expect(hidden, width, vocab)
	ids := make([]int, vocab)
	var sum float64
	for i := range ids {
		ids[i] = i
		sum += math.Exp(float64(row[i]))
	}
	sort.SliceStable(ids, func(i, j int) bool { return row[ids[i]] > row[ids[j]] })

	a := ask(t, s, 2, 40)
	if len(a.Candidates) != 40 || math.Abs(a.LogSumExp-math.Log(sum)) > 1e-9 {
		t.Fatalf("%d candidates, log-sum-exp %v, want %v", len(a.Candidates), a.LogSumExp, math.Log(sum))
	}
	for i, got := range a.Candidates {
		if int(got.ID) != ids[i] || got.Logit != row[ids[i]] {
			t.Fatalf("candidate %d is %+v, want id %d", i, got, ids[i])
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	masked, err := s.AskMasked(ctx, 2, 2, []int32{7, 3, 499})
	must(t, err)
	if len(masked.Candidates) != 2 || masked.LogSumExp != a.LogSumExp {
		t.Fatalf("masked: %+v", masked)
	}
	if got := ask(t, s, 2, 0); len(got.Row) != vocab { // the same position a third time
		t.Fatalf("a row of %d", len(got.Row))
	}
	if c.stage.Rows.Load() != 3 {
		t.Errorf("repeated asks computed %d rows", c.stage.Rows.Load())
	}
}

// TestStaleRow asks for a row that was passed over.
func TestStaleRow(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	s := open(t, c.dial(t))
	must(t, s.Append(0, rows(rand.New(rand.NewPCG(1, 5)), 10)))
	ask(t, s, 9, 1)
	_, err := s.Ask(t.Context(), 4, 1)
	wantErr(t, err, cloudlink.ErrStale)
	ask(t, s, 9, 1) // the session goes on
}

// TestManySessions runs sessions of several connections at once; each must get
// the logits of its own rows.
func TestManySessions(t *testing.T) {
	const conns, each = 3, 6
	stage := fakestage.New(width, vocab, conns*each, 1024*conns*each, 32)
	c := newCloud(t, stage)
	var g errgroup.Group
	for i := range conns {
		client := c.dial(t)
		for j := range each {
			s := open(t, client)
			g.Go(func() error {
				rng := rand.New(rand.NewPCG(uint64(i), uint64(j)))
				var hidden []float32
				for range 15 {
					more := rows(rng, 1+rng.IntN(20))
					if err := s.Append(len(hidden)/width, more); err != nil {
						return err
					}
					hidden = append(hidden, more...)
					a, err := s.Ask(t.Context(), len(hidden)/width-1, 0)
					if err != nil {
						return err
					}
					wantRow(t, a, hidden)
				}
				return s.Close()
			})
		}
	}
	must(t, g.Wait())
}

// TestBatchesSessions holds the stage up while four sessions ask: one forward
// then has a fair share of each.
func TestBatchesSessions(t *testing.T) {
	stage := fakestage.New(width, vocab, 5, 5*1024, 40)
	first, sizes := make(chan struct{}), make(chan int, 100)
	stage.Before = func(n int) {
		sizes <- n
		<-first
	}
	c := newCloud(t, stage, func(conf *partition.Config) { conf.Pass = time.Hour }) // room for 40
	client := c.dial(t)
	var g errgroup.Group
	asks := func(seed uint64, n int) {
		s := open(t, client)
		hidden := rows(rand.New(rand.NewPCG(2, seed)), n)
		must(t, s.Append(0, hidden))
		g.Go(func() error {
			a, err := s.Ask(t.Context(), n-1, 0)
			if err == nil {
				wantRow(t, a, hidden)
			}
			return err
		})
	}
	asks(0, 1)
	if n := <-sizes; n != 1 {
		t.Fatalf("the first forward has %d rows", n)
	}
	asks(1, 200)
	asks(2, 5)
	asks(3, 5)
	asks(4, 5)
	eventually(t, func() bool {
		st := c.server.Stats()
		return st.Waiting == 5 && st.Queued == 215
	})
	close(first)
	must(t, g.Wait())
	if n := <-sizes; n != 40 || stage.Shared.Load() == 0 {
		t.Fatalf("the second forward has %d rows, %d forwards are shared", n, stage.Shared.Load())
	}
	// 215 rows in forwards of 40: the short ones were all in the first.
	if n := stage.Forwards.Load(); n != 7 {
		t.Errorf("%d forwards", n)
	}
}

// TestUplinkWaits: more rows than may stay uncomputed make the stage catch up
// unasked, and none is lost.
func TestUplinkWaits(t *testing.T) {
	stage := fakestage.New(width, vocab, 1, 4096, 64)
	c := newCloud(t, stage, func(conf *partition.Config) { conf.MaxQueued = 100 })
	s := open(t, c.dial(t), func(o *cloudlink.SessionOptions) { o.Context = 4096 })
	hidden := rows(rand.New(rand.NewPCG(1, 6)), 3000)
	must(t, s.Append(0, hidden))
	eventually(t, func() bool { return c.server.Stats().RowsUp == 3000 })
	if n := c.server.Stats().Queued; n > 100+512 { // a frame holds 512 rows of this width
		t.Errorf("%d rows queued", n)
	}
	wantRow(t, ask(t, s, 2999, 0), hidden)
}

// TestStageStats: what a stage says of its memory, who uses it and T are shown.
func TestStageStats(t *testing.T) {
	stage := fakestage.New(width, vocab, 3, 3*512, 64)
	c := newCloud(t, stage)
	s := open(t, c.dial(t))
	must(t, s.Append(0, rows(rand.New(rand.NewPCG(8, 8)), 5)))
	ask(t, s, 4, 1)
	st := c.server.Stats().Stages
	if len(st) != 1 || st[0].Bundle != "fake" || st[0].Sequences != 3 || st[0].Sessions != 1 || st[0].Positions != 5 ||
		st[0].Weights != fakestage.Weights || st[0].KV != fakestage.KV || st[0].Pass <= 0 || st[0].Whole {
		t.Errorf("%+v", st)
	}
}
