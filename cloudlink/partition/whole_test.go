package partition_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/wire"
)

func withBundle(id wire.Hash, s partition.Stage) func(*partition.Config) {
	return func(c *partition.Config) { c.Bundles = append(c.Bundles, partition.Bundle{ID: id, Stage: s}) }
}

// withWhole serves the first bundle's whole model too.
func withWhole(s *fakestage.Stage) func(*partition.Config) {
	return func(c *partition.Config) { c.Bundles[0].Whole = fakestage.Whole{Stage: s} }
}

func tokens(o *cloudlink.SessionOptions) { o.Tokens = true }

// greedy is what the whole model says after ids, n tokens of it.
func greedy(ids []int32, n int) (out []int32) {
	ids = slices.Clone(ids)
	for range n {
		row := fakestage.ExpectTokens(ids, vocab)
		best := int32(0)
		for i, l := range row {
			if l > row[best] {
				best = int32(i)
			}
		}
		ids, out = append(ids, best), append(out, best)
	}
	return out
}

func generate(t testing.TB, s *cloudlink.Session, ids []int32, n int, ignoreEnd bool) ([]int32, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []int32
	err := s.Generate(ctx, ids, n, ignoreEnd, func(id int32, confidence, margin float64) bool {
		if confidence <= 0 || confidence > 1 || margin < 0 {
			t.Errorf("token %d with confidence %v, margin %v", id, confidence, margin)
		}
		got = append(got, id)
		return true
	})
	return got, err
}

// TestTokenIDs: ids go up in place of hidden states and logits come back.
func TestTokenIDs(t *testing.T) {
	whole := fakestage.New(1, vocab, 2, 1024, 64)
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), withWhole(whole))
	s := open(t, c.dial(t), tokens, durable)
	ids := []int32{3, 1, 4, 1, 5, 499}
	must(t, s.AppendTokens(0, ids))
	if a := ask(t, s, 5, 0); !slices.Equal(a.Row, fakestage.ExpectTokens(ids, vocab)) {
		t.Error("wrong logits")
	}
	if st := s.Stats(); st.RowBytes != 4 || c.stage.Rows.Load() != 0 || whole.Rows.Load() != 6 {
		t.Errorf("%+v", st)
	}
	must(t, s.Close())
}

// TestGenerate: the cloud goes on alone, and what it said is part of the
// session, over a lost connection too.
func TestGenerate(t *testing.T) {
	whole := fakestage.New(1, vocab, 2, 1024, 64)
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), withWhole(whole))
	client := c.dial(t)
	s := open(t, client, tokens, durable)
	defer s.Close()
	prompt := []int32{10, 20, 30}
	want := greedy(prompt, 60)
	got, err := generate(t, s, prompt, 25, true)
	must(t, err)
	if !slices.Equal(got, want[:25]) {
		t.Fatalf("got %v, want %v", got, want[:25])
	}
	if st := s.Stats(); st.Position != 28 || st.Rows > 4 {
		t.Errorf("%+v", st)
	}
	must(t, client.Close())
	if _, err = generate(t, s, nil, 5, true); !errors.Is(err, cloudlink.ErrLost) {
		t.Fatal(err)
	}
	c.resumed(t, s, 2)
	got, err = generate(t, s, nil, 35, true)
	must(t, err)
	if !slices.Equal(got, want[25:]) {
		t.Fatalf("after the loss: got %v, want %v", got, want[25:])
	}
	if n := whole.Rows.Load(); n != 3+60-1 {
		t.Errorf("%d rows computed for 3 ids and 60 tokens", n)
	}
}

// TestGenerateEnds at an end token, at the end of the context, when the board
// has had enough, and when its context ends.
func TestGenerateEnds(t *testing.T) {
	whole := fakestage.New(1, vocab, 4, 4096, 64)
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), withWhole(whole))
	client := c.dial(t)
	prompt := []int32{7, 7}
	want := greedy(prompt, 40)
	ends := func(o *cloudlink.SessionOptions) { o.Ends = []int32{want[6]} }
	first := slices.Index(want, want[6])

	got, err := generate(t, open(t, client, tokens, ends), prompt, 40, false)
	must(t, err)
	if !slices.Equal(got, want[:first+1]) {
		t.Errorf("got %v, want up to %d", got, want[6])
	}
	got, err = generate(t, open(t, client, tokens, ends), prompt, 12, true)
	must(t, err)
	if !slices.Equal(got, want[:12]) {
		t.Errorf("got %v with ends ignored", got)
	}
	short := open(t, client, tokens, func(o *cloudlink.SessionOptions) { o.Context = 10 })
	got, err = generate(t, short, prompt, 10, true)
	wantErr(t, err, cloudlink.ErrContextFull)
	if !slices.Equal(got, want[:9]) { // the last of them has no position any more
		t.Errorf("got %v in a context of 10", got)
	}

	s := open(t, client, tokens, durable)
	defer s.Close()
	n := 0
	must(t, s.Generate(t.Context(), prompt, 1000, true, func(int32, float64, float64) bool { n++; return n < 5 }))
	if st := s.Stats(); st.Position != 7 {
		t.Errorf("%+v", st)
	}
	got, err = generate(t, s, nil, 4, true)
	must(t, err)
	if !slices.Equal(got, want[5:9]) {
		t.Errorf("got %v after stopping, want %v", got, want[5:9])
	}
	ctx, cancel := context.WithCancel(t.Context())
	n = 0
	err = s.Generate(ctx, nil, 1000, true, func(int32, float64, float64) bool {
		if n++; n == 3 {
			cancel()
		}
		return true
	})
	wantErr(t, err, context.Canceled)
	eventually(t, func() bool { return c.server.Stats().Waiting == 0 })
}

// A board that has restarted goes on with the token ids that the cloud has of it, and where
// the cloud has lost them it sends those of its journal again.
func TestTokenIDsOfAnEarlierProcess(t *testing.T) {
	whole := fakestage.New(1, vocab, 2, 1024, 64)
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), withWhole(whole))
	client := c.dial(t)
	eventually(t, func() bool { w, ok := client.Welcome(); return ok && w.Bundles[0].Whole })
	ids := []int32{3, 1, 4, 1, 5, 9, 2, 6, 5, 3}
	opt := func(o *cloudlink.SessionOptions) { o.ID = wire.SessionID{9, 9} }
	s := open(t, client, tokens, durable, opt)
	must(t, s.AppendTokens(0, ids))
	ask(t, s, 9, 1)
	branch := s.Stats().Branch
	must(t, client.Close()) // the process ends and takes nothing back

	later := func(position int, epoch uint64) (*cloudlink.Session, *cloudlink.Client) {
		client := c.dial(t, inEpoch(epoch))
		s := open(t, client, tokens, durable, opt, func(o *cloudlink.SessionOptions) { o.Position, o.Branch = position, branch })
		return s, client
	}
	s, client = later(10, 2)
	ids = append(ids, 7, 8)
	must(t, s.AppendTokens(10, ids[10:]))
	if got := askRows(t, s, 11, 2, 0); !slices.Equal(got[0].Row, fakestage.ExpectTokens(ids[:11], vocab)) || !slices.Equal(got[1].Row, fakestage.ExpectTokens(ids, vocab)) {
		t.Error("wrong logits after a restart")
	}
	if n := whole.Rows.Load(); n != 12 {
		t.Errorf("%d rows computed for 12 ids", n)
	}
	branch = s.Stats().Branch
	must(t, client.Close())
	eventually(t, func() bool { return c.server.Stats().Contexts == 1 })
	if c.server.Evict("") != 1 {
		t.Error("nothing was evicted")
	}

	s, client = later(12, 3)
	ids = append(ids, 400)
	must(t, s.AppendTokens(12, ids[12:]))
	_, err := s.AskRows(t.Context(), 12, 3, 1)
	wantErr(t, err, cloudlink.ErrSendFrom)
	if from, missing := s.Wants(); from != 0 || !missing {
		t.Errorf("it wants ids from %d on: %v", from, missing)
	}
	must(t, s.AppendTokens(0, ids)) // from the journal
	if got := askRows(t, s, 12, 3, 0); !slices.Equal(got[2].Row, fakestage.ExpectTokens(ids, vocab)) {
		t.Error("wrong logits after a loss")
	}
	must(t, client.Close())
}

// TestTokenIDsRefused where there is no whole model, and of a device that may
// not send text.
func TestTokenIDsRefused(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64))
	wantErr(t, ready(t, open(t, c.dial(t), tokens)), cloudlink.ErrNotWhole)

	may := &mayOnly{may: "hidden"}
	c = newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), withWhole(fakestage.New(1, vocab, 2, 1024, 64)),
		func(conf *partition.Config) { conf.Devices = may })
	client := c.dial(t)
	wantErr(t, ready(t, open(t, client, tokens)), cloudlink.ErrUnauthorized)
	must(t, ready(t, open(t, client)))
	may = &mayOnly{may: "text"}
	c = newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), withWhole(fakestage.New(1, vocab, 2, 1024, 64)),
		func(conf *partition.Config) { conf.Devices = may })
	must(t, ready(t, open(t, c.dial(t), tokens)))
}

// mayOnly is a partition.Devices that says one thing of all.
type mayOnly struct {
	may     string
	highest uint64
}

func (m *mayOnly) RaiseEpoch(_ string, epoch uint64) (uint64, bool, error) {
	raised := epoch > m.highest
	m.highest = max(m.highest, epoch)
	return m.highest, raised, nil
}
func (m *mayOnly) Admitted(string) (string, error)           { return m.may, nil }
func (m *mayOnly) SawDevice(string, []byte, time.Time) error { return nil }
