package partition_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"skerry/build/testseed"
	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/linksim"
	"skerry/cloudlink/partition"
)

// greedyLeader says what the whole model says, and drafts by chance: right tokens, wrong ones, or
// none.
type greedyLeader struct {
	seed    uint64
	most    int                                 // drafted at once
	right   float64                             // share of the drafts
	refuse  error                               // of every answer
	before  func(said int, ctx context.Context) // every check, may be nil
	open    atomic.Int64                        // sessions
	running atomic.Int64                        // answers
	checks  atomic.Int64
}

func (l *greedyLeader) Session() partition.SessionLeader {
	l.open.Add(1)
	return &greedySession{l, rand.New(rand.NewPCG(l.seed, 1))}
}

type greedySession struct {
	*greedyLeader
	rng *rand.Rand
}

func (s *greedySession) Close() { s.open.Add(-1) }

func (s *greedySession) Lead(ctx context.Context, text []int32, o partition.LeadOptions, model *partition.LedContext, say func(partition.LedTokens) error) (partition.LeadEnd, error) {
	s.running.Add(1)
	defer s.running.Add(-1)
	if s.refuse != nil {
		return 0, s.refuse
	}
	there := len(text) // positions of the context
	for n := 0; ; {
		if s.before != nil {
			s.before(n, ctx)
		}
		var drafts []int32
		room := min(o.Max-n-1, model.Limit()-len(text)-1, s.most)
		if room > 0 {
			drafts = greedy(text, s.rng.IntN(room+1))
		}
		for i := range drafts {
			if s.rng.Float64() >= s.right {
				drafts[i] = (drafts[i] + 1) % vocab
			}
		}
		all := append(slices.Clone(text), drafts...)
		ids := make([]float32, 0, len(all))
		for _, id := range all[there:] {
			ids = append(ids, float32(id))
		}
		if err := model.Append(there, ids); err != nil {
			return 0, err
		}
		rows, err := model.Ask(ctx, len(all)-1, len(drafts)+1, 2)
		if err != nil {
			return 0, err
		}
		s.checks.Add(1)
		t := partition.LedTokens{Checks: 1, Drafted: len(drafts)}
		for i, r := range rows {
			id := r.Best[0].ID
			t.IDs, t.Confidence = append(t.IDs, id), append(t.Confidence, 0.5)
			t.Margin, t.Logprob = append(t.Margin, r.Best[0].Logit-r.Best[1].Logit), append(t.Logprob, -1)
			text = append(text, id)
			if i == len(drafts) || drafts[i] != id {
				break
			}
			t.Accepted++
		}
		n += len(t.IDs)
		there = len(text) - 1
		if err := model.Truncate(there); err != nil {
			return 0, err
		}
		if len(text) == model.Limit() {
			t.Last, t.End = true, partition.LeadContext
		}
		if n == o.Max {
			t.Last, t.End = true, partition.LeadMax
		}
		if err := say(t); err != nil {
			return 0, err
		}
		if t.Last {
			return t.End, nil
		}
	}
}

func led(by *greedyLeader) func(*partition.Config) {
	return func(c *partition.Config) { c.Bundles[0].Leader = by }
}

// leadOn takes n tokens that the cloud leads to.
func leadOn(t testing.TB, s *cloudlink.Session, n int, each func()) ([]int32, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []int32
	err := s.Lead(ctx, cloudlink.LeadOptions{Max: n, Begin: 2}, func(tokens []cloudlink.LedToken, _ cloudlink.LedChecks) bool {
		for _, k := range tokens {
			got = append(got, k.ID)
		}
		if each != nil {
			each()
		}
		return true
	})
	return got, err
}

func ledCloud(t *testing.T, by *greedyLeader) (*cloud, *fakestage.Stage) {
	whole := fakestage.New(1, vocab, 3, 1024, 64)
	return newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), withWhole(whole), led(by)), whole
}

// TestLead: what the cloud says by itself does not depend on what it drafts, and is part of the
// session, over a lost connection too.
func TestLead(t *testing.T) {
	for _, right := range []float64{0, 0.7, 1} {
		l := &greedyLeader{seed: testseed.Of(t), most: 6, right: right}
		c, _ := ledCloud(t, l)
		client := c.dial(t)
		s := open(t, client, tokens, durable)
		prompt := []int32{10, 20, 30}
		want := greedy(prompt, 130)
		must(t, s.AppendTokens(0, prompt))
		got, err := leadOn(t, s, 100, nil)
		must(t, err)
		if !slices.Equal(got, want[:100]) {
			t.Fatalf("drafts right at %v: got %v, want %v", right, got, want[:100])
		}
		must(t, client.Close())
		if _, err = leadOn(t, s, 5, nil); !errors.Is(err, cloudlink.ErrLost) {
			t.Fatal(err)
		}
		c.resumed(t, s, 2)
		got, err = leadOn(t, s, 30, nil)
		must(t, err)
		if !slices.Equal(got, want[100:]) {
			t.Fatalf("after the loss: got %v, want %v", got, want[100:])
		}
		all := append(slices.Clone(prompt), want...)
		if a := ask(t, s, len(all)-1, 0); !slices.Equal(a.Row, fakestage.ExpectTokens(all, vocab)) {
			t.Error("wrong logits behind what was led")
		}
		must(t, s.Close())
		eventually(t, func() bool { return l.open.Load() == 0 && l.running.Load() == 0 })
	}
}

// TestLeadThroughALoss: the connection goes in the middle of an answer, and whatever the cloud had
// drafted or said by then, the text goes on as it would have.
func TestLeadThroughALoss(t *testing.T) {
	l := &greedyLeader{seed: testseed.Of(t), most: 5, right: 0.8}
	c, _ := ledCloud(t, l)
	client := c.dial(t)
	s := open(t, client, tokens, durable)
	defer s.Close()
	prompt := []int32{7, 7, 9}
	must(t, s.AppendTokens(0, prompt))
	var text []int32
	for epoch := uint64(2); epoch < 7; epoch++ {
		n := 0
		got, err := leadOn(t, s, 500, func() {
			if n++; n == 3 {
				client.Close()
			}
		})
		if !errors.Is(err, cloudlink.ErrLost) {
			t.Fatal(err)
		}
		text = append(text, got...)
		client = c.resumed(t, s, epoch)
	}
	got, err := leadOn(t, s, 20, nil)
	must(t, err)
	text = append(text, got...)
	if want := greedy(prompt, len(text)); !slices.Equal(text, want) {
		t.Fatalf("got %v, want %v", text, want)
	}
}

// TestLeadStops once the board has had enough, has gone on elsewhere, or its context ends: the
// cloud then works for nobody, and what was not taken is no part of the session.
func TestLeadStops(t *testing.T) {
	l := &greedyLeader{seed: testseed.Of(t), most: 4, right: 0.9}
	c, _ := ledCloud(t, l)
	client := c.dial(t)
	s := open(t, client, tokens, durable)
	defer s.Close()
	prompt := []int32{1, 2, 3}
	must(t, s.AppendTokens(0, prompt))
	text := slices.Clone(prompt)
	for range 5 {
		taken := 0
		must(t, s.Lead(t.Context(), cloudlink.LeadOptions{Max: 900, Begin: 1}, func(said []cloudlink.LedToken, _ cloudlink.LedChecks) bool {
			if taken++; taken == 4 {
				return false
			}
			for _, k := range said {
				text = append(text, k.ID)
			}
			return true
		}))
		eventually(t, func() bool { return l.running.Load() == 0 })
		if st := s.Stats(); st.Position != len(text) {
			t.Fatalf("%d positions after %d were taken", st.Position, len(text))
		}
	}
	if want := append(slices.Clone(prompt), greedy(prompt, len(text)-3)...); !slices.Equal(text, want) {
		t.Fatalf("got %v, want %v", text, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Lead(ctx, cloudlink.LeadOptions{Max: 900, Begin: 1}, func([]cloudlink.LedToken, cloudlink.LedChecks) bool { cancel(); return true })
	wantErr(t, err, context.Canceled)
	eventually(t, func() bool { return l.running.Load() == 0 })
	err = s.Lead(t.Context(), cloudlink.LeadOptions{Max: 900, Begin: 1}, func([]cloudlink.LedToken, cloudlink.LedChecks) bool {
		must(t, s.Truncate(3))
		return true
	})
	wantErr(t, err, cloudlink.ErrTruncated)
	eventually(t, func() bool { return l.running.Load() == 0 && c.server.Stats().Waiting == 0 })
	if a := ask(t, s, 2, 0); !slices.Equal(a.Row, fakestage.ExpectTokens(prompt, vocab)) {
		t.Error("wrong logits after what was led was taken back")
	}
}

// TestLeadWindow: a board that takes nothing is not run away from.
func TestLeadWindow(t *testing.T) {
	const window = 64
	full := make(chan struct{})
	var once sync.Once
	var taken atomic.Int64
	l := &greedyLeader{seed: testseed.Of(t)}
	l.before = func(said int, _ context.Context) {
		if over := int64(said) - taken.Load(); over > window {
			t.Errorf("%d tokens are said and not taken", over)
		}
		if said == window {
			once.Do(func() { close(full) })
		}
	}
	c, _ := ledCloud(t, l)
	s := open(t, c.dial(t), tokens, durable)
	defer s.Close()
	prompt := []int32{5, 6}
	must(t, s.AppendTokens(0, prompt))
	got, err := leadOn(t, s, 300, func() {
		<-full
		taken.Add(1)
	})
	must(t, err)
	if want := greedy(prompt, 300); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// TestLeadAmongOthers: several sessions are led at once, and share the passes.
func TestLeadAmongOthers(t *testing.T) {
	l := &greedyLeader{seed: testseed.Of(t), most: 4, right: 0.6}
	c, _ := ledCloud(t, l)
	client := c.dial(t)
	var all sync.WaitGroup
	for i := range int32(3) {
		s := open(t, client, tokens, durable)
		defer s.Close()
		prompt := []int32{i, 40, 50 + i}
		all.Go(func() {
			if err := s.AppendTokens(0, prompt); err != nil {
				t.Error(err)
				return
			}
			got, err := leadOn(t, s, 120, nil)
			if want := greedy(prompt, 120); err != nil || !slices.Equal(got, want) {
				t.Errorf("session %d: %v, got %v, want %v", i, err, got, want)
			}
		})
	}
	all.Wait()
}

// TestLeadEnds at the end of the context.
func TestLeadEnds(t *testing.T) {
	l := &greedyLeader{seed: testseed.Of(t), most: 5, right: 1}
	c, _ := ledCloud(t, l)
	s := open(t, c.dial(t), tokens, func(o *cloudlink.SessionOptions) { o.Context = 20 })
	prompt := []int32{7, 7}
	must(t, s.AppendTokens(0, prompt))
	got, err := leadOn(t, s, 100, nil)
	wantErr(t, err, cloudlink.ErrContextFull)
	if want := greedy(prompt, 18); !slices.Equal(got, want) { // as many as were granted
		t.Fatalf("got %v, want %v", got, want)
	}
}

// TestLeadRefused where nobody leads, or not this answer.
func TestLeadRefused(t *testing.T) {
	whole := fakestage.New(1, vocab, 2, 1024, 64)
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), withWhole(whole))
	s := open(t, c.dial(t), tokens)
	must(t, s.AppendTokens(0, []int32{1, 2, 3}))
	_, err := leadOn(t, s, 5, nil)
	wantErr(t, err, cloudlink.ErrNoLead)

	c, _ = ledCloud(t, &greedyLeader{refuse: errors.New("an unknown filter")})
	s = open(t, c.dial(t), tokens)
	ids := []int32{1, 2, 3}
	must(t, s.AppendTokens(0, ids))
	_, err = leadOn(t, s, 5, nil)
	wantErr(t, err, cloudlink.ErrNoLead)
	if a := ask(t, s, 2, 0); !slices.Equal(a.Row, fakestage.ExpectTokens(ids, vocab)) { // it answers all the same
		t.Error("wrong logits after a refusal")
	}
	s = open(t, c.dial(t, inEpoch(2)))
	must(t, s.Append(0, make([]float32, width)))
	_, err = leadOn(t, s, 5, nil)
	wantErr(t, err, cloudlink.ErrNoLead)
}

// TestAloneAfterLead: what a cloud has said that never came is no part of the session. Where the
// board goes on by itself meanwhile, its own tokens stand.
func TestAloneAfterLead(t *testing.T) {
	var cut sync.Once
	ahead := make(chan struct{})
	l := &greedyLeader{seed: testseed.Of(t)}
	var link *linksim.Link
	l.before = func(said int, _ context.Context) {
		switch said {
		case 10:
			cut.Do(func() { link.Down(true) })
		case 40:
			select {
			case <-ahead:
			default:
				close(ahead)
			}
		}
	}
	c, _ := ledCloud(t, l)
	var err error
	link, err = linksim.Start(t.Context(), linksim.Spec{}, udpAddr(c.ln.Addr()), l.seed)
	must(t, err)
	t.Cleanup(func() { link.Close() })
	client := c.dial(t, func(conf *cloudlink.Config) { conf.Addr = link.Addr().String() })
	s := open(t, client, tokens, durable)
	defer s.Close()
	prompt := []int32{7, 8, 9}
	must(t, s.AppendTokens(0, prompt))
	text := slices.Clone(prompt)
	var lost sync.WaitGroup
	lost.Go(func() {
		<-ahead
		client.Close()
	})
	err = s.Lead(t.Context(), cloudlink.LeadOptions{Max: 500, Begin: 1}, func(said []cloudlink.LedToken, _ cloudlink.LedChecks) bool {
		for _, k := range said {
			text = append(text, k.ID)
		}
		return true
	})
	lost.Wait()
	wantErr(t, err, cloudlink.ErrLost)
	for i := range int32(20) {
		text = append(text, 60+i%3)
	}
	must(t, s.AppendTokens(0, text))
	c.resumed(t, s, 2)
	if a := ask(t, s, len(text)-1, 0); !slices.Equal(a.Row, fakestage.ExpectTokens(text, vocab)) {
		t.Error("wrong logits behind what the board said by itself")
	}
}

// TestLeadKept: what is written down of a context that is led holds no draft, and the next server
// leads on from it.
func TestLeadKept(t *testing.T) {
	shelf := fakestage.NewShelf()
	l := &greedyLeader{seed: testseed.Of(t), most: 6} // all its drafts are wrong
	serve := func(s *fakestage.Shelf) (*cloud, *fakestage.Stage) {
		whole := fakestage.New(1, vocab, 2, 2048, 64)
		return newCloud(t, fakestage.New(width, vocab, 2, 2048, 64), withWhole(whole), led(l), s.Keep), whole
	}
	first, _ := serve(shelf)
	s := open(t, first.dial(t), tokens, durable)
	defer s.Close()
	text := make([]int32, 120)
	for i := range text {
		text[i] = int32(i % vocab)
	}
	must(t, s.AppendTokens(0, text))
	got, err := leadOn(t, s, 80, nil)
	must(t, err)
	text = append(text, got...)
	eventually(t, func() bool { return first.server.Stats().Saved > 0 })
	killed := shelf.Copied()
	first.stop()
	<-s.Detached()
	second, whole := serve(killed)
	second.resumed(t, s, 2)
	if a := ask(t, s, len(text)-1, 0); !slices.Equal(a.Row, fakestage.ExpectTokens(text, vocab)) {
		t.Fatal("wrong logits behind a context that was led and kept")
	}
	if st := second.server.Stats(); st.Restored != 1 || whole.Rows.Load() > 100 {
		t.Errorf("%d contexts restored, %d rows computed", st.Restored, whole.Rows.Load())
	}
	got, err = leadOn(t, s, 20, nil)
	must(t, err)
	if want := greedy(text, 20); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// TestLeadAgainWhileNobodyTakes: a context that gives way while tokens wait to be taken is led
// again, and there is room for those that come then.
func TestLeadAgainWhileNobodyTakes(t *testing.T) {
	const window = 64
	l := &greedyLeader{seed: testseed.Of(t)}
	ahead := make(chan struct{}, 100)
	l.before = func(said int, _ context.Context) {
		if said == window {
			ahead <- struct{}{}
		}
	}
	c, _ := ledCloud(t, l)
	s := open(t, c.dial(t), tokens, durable)
	defer s.Close()
	prompt := []int32{5, 6}
	must(t, s.AppendTokens(0, prompt))
	n := 0
	got, err := leadOn(t, s, 300, func() {
		switch n++; n {
		case 1:
			<-ahead
			eventually(t, func() bool { return c.server.Evict("") == 1 })
		case window/4 + 1: // it is led again once it is known that so many were taken
			<-ahead
		}
	})
	must(t, err)
	if want := greedy(prompt, 300); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}
