package partition_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/wire"
)

func durable(o *cloudlink.SessionOptions) { o.Durable = true }

func inEpoch(n uint64) func(*cloudlink.Config) {
	return func(c *cloudlink.Config) { c.Epoch = n }
}

// resumed attaches s to a new connection of the given epoch.
func (c *cloud) resumed(t testing.TB, s *cloudlink.Session, epoch uint64) *cloudlink.Client {
	t.Helper()
	client := c.dial(t, inEpoch(epoch))
	must(t, client.Resume(t.Context(), s))
	return client
}

// TestResumeKeepsContext: after a lost connection nothing is computed twice and
// only what was appended meanwhile is sent.
func TestResumeKeepsContext(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 2048, 64))
	client := c.dial(t)
	s := open(t, client, durable)
	defer s.Close()
	hidden := rows(rand.New(rand.NewPCG(7, 1)), 300)
	must(t, s.Append(0, hidden[:200*width]))
	wantRow(t, ask(t, s, 199, 0), hidden[:200*width])
	eventually(t, func() bool { return s.Stats().Confirmed == 200 })
	must(t, client.Close())

	must(t, s.Append(200, hidden[200*width:])) // goes on while detached
	_, err := s.Ask(t.Context(), 299, 1)
	wantErr(t, err, cloudlink.ErrLost)
	eventually(t, func() bool { return c.server.Stats().Contexts == 1 })

	c.resumed(t, s, 2)
	wantRow(t, ask(t, s, 299, 0), hidden)
	if st := s.Stats(); st.Rows != 300 || st.Resumed != 1 || st.Repeats != 0 {
		t.Errorf("%+v", st)
	}
	if n := c.stage.Rows.Load(); n != 300 {
		t.Errorf("%d rows computed of 300", n)
	}
}

// TestResumeAnswersAgain: the answer of the row asked for when the connection
// was lost is still there.
func TestResumeAnswersAgain(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 2048, 64))
	client := c.dial(t)
	s := open(t, client, durable)
	defer s.Close()
	hidden := rows(rand.New(rand.NewPCG(7, 2)), 20)
	must(t, s.Append(0, hidden))
	want := ask(t, s, 19, 0)
	must(t, client.Close())
	c.resumed(t, s, 2)
	if got := ask(t, s, 19, 0); !slices.Equal(got.Row, want.Row) {
		t.Error("another row after the loss")
	}
	wantRow(t, ask(t, s, 7, 0), hidden[:8*width]) // not kept: sent and computed again
	wantRow(t, ask(t, s, 19, 0), hidden)
}

// TestAskEndsWithConnection: who waits when the connection dies is told, and
// the session goes on.
func TestAskEndsWithConnection(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 2048, 64))
	client := c.dial(t)
	s := open(t, client, durable)
	got := make(chan error, 1)
	go func() {
		_, err := s.Ask(context.Background(), 5, 1) // a row that never comes
		got <- err
	}()
	eventually(t, func() bool { return c.server.Stats().Waiting == 1 })
	must(t, client.Close())
	wantErr(t, <-got, cloudlink.ErrLost)
	<-s.Detached()
	wantErr(t, s.Lost(), cloudlink.ErrLost)
	must(t, s.Err())
	must(t, s.Close())
	_, err := s.Ask(t.Context(), 5, 1)
	wantErr(t, err, cloudlink.ErrClosed)
	wantErr(t, c.dial(t, inEpoch(2)).Resume(t.Context(), s), cloudlink.ErrClosed)
}

// TestCloudRestarts: the cloud has lost everything, and the next ask does not
// notice.
func TestCloudRestarts(t *testing.T) {
	first := newCloud(t, fakestage.New(width, vocab, 1, 2048, 64))
	s := open(t, first.dial(t), durable)
	defer s.Close()
	hidden := rows(rand.New(rand.NewPCG(7, 3)), 500)
	must(t, s.Append(0, hidden[:400*width]))
	wantRow(t, ask(t, s, 399, 0), hidden[:400*width])
	must(t, s.Truncate(350))
	eventually(t, func() bool { return s.Stats().Confirmed == 350 })
	first.stop()
	<-s.Detached()
	must(t, s.Append(350, hidden[350*width:]))

	second := newCloud(t, fakestage.New(width, vocab, 1, 2048, 64))
	second.resumed(t, s, 2)
	wantRow(t, ask(t, s, 499, 0), hidden)
	if n, f := second.stage.Rows.Load(), second.stage.Forwards.Load(); n != 500 || f != 8 {
		t.Errorf("caught up with %d rows in %d forwards of 64", n, f)
	}
}

// TestNewProcessResumes: a board process that knows id, position and branch
// goes on with the context of its predecessor, without its rows.
func TestNewProcessResumes(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 2048, 64))
	client := c.dial(t)
	before := open(t, client, durable)
	hidden := rows(rand.New(rand.NewPCG(7, 4)), 100)
	must(t, before.Append(0, hidden))
	ask(t, before, 99, 1)
	must(t, before.Truncate(80)) // written down: 80 positions, branch 1
	must(t, before.Append(80, rows(rand.New(rand.NewPCG(7, 5)), 7)))
	must(t, before.Truncate(82)) // not written down any more
	ask(t, before, 81, 1)
	must(t, client.Close())

	resume := func(o *cloudlink.SessionOptions) {
		o.Durable, o.ID, o.Position, o.Branch = true, before.ID(), 80, 1
	}
	s := open(t, c.dial(t, inEpoch(2)), resume)
	must(t, s.Append(80, hidden[80*width:]))
	wantRow(t, ask(t, s, 99, 0), hidden)
	if st := s.Stats(); st.Rows != 20 || st.Repeats != 0 {
		t.Errorf("%+v", st)
	}
	must(t, s.Close())
	eventually(t, func() bool { st := c.server.Stats(); return st.Reserved == 0 && st.Contexts == 0 })

	// The context is gone now: the rows below 80 have to be made again.
	s = open(t, c.dial(t, inEpoch(3)), resume)
	defer s.Close()
	must(t, s.Append(80, hidden[80*width:]))
	var remote *cloudlink.RemoteError
	_, err := s.Ask(t.Context(), 99, 0)
	if !errors.As(err, &remote) || remote.Code != wire.CodeSendFrom || remote.Position != 0 {
		t.Fatalf("got %v", err)
	}
	if from, missing := s.Wants(); !missing || from != 0 {
		t.Fatalf("wants %d, %v", from, missing)
	}
	must(t, s.Append(0, hidden[:50*width]))
	must(t, s.Append(50, hidden[50*width:90*width]))
	if _, missing := s.Wants(); missing {
		t.Fatal("still wants rows")
	}
	wantRow(t, ask(t, s, 99, 0), hidden)
}

// TestDifferentCloudKnowsOlderDrafts: a cloud that was left branches ago has
// rows that were taken back since, and keeps none.
func TestDifferentCloudKnowsOlderDrafts(t *testing.T) {
	a := newCloud(t, fakestage.New(width, vocab, 1, 2048, 64))
	b := newCloud(t, fakestage.New(width, vocab, 1, 2048, 64))
	rng := rand.New(rand.NewPCG(7, 6))
	client := a.dial(t)
	s := open(t, client, durable)
	defer s.Close()
	hidden := rows(rng, 50)
	must(t, s.Append(0, hidden))
	ask(t, s, 49, 1)
	must(t, client.Close())

	client = b.resumed(t, s, 2)
	for range 3 { // drafts and rejections that the first cloud never sees
		must(t, s.Truncate(30))
		hidden = append(hidden[:30*width], rows(rng, 20)...)
		must(t, s.Append(30, hidden[30*width:]))
		wantRow(t, ask(t, s, 49, 0), hidden)
		eventually(t, func() bool { return s.Stats().Confirmed == 50 })
	}
	must(t, client.Close())
	a.resumed(t, s, 3)
	wantRow(t, ask(t, s, 49, 0), hidden)
}

// TestIdleContextExpires: nobody comes back for it.
func TestIdleContextExpires(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 2048, 64), func(conf *partition.Config) {
		conf.IdleContext = 200 * time.Millisecond
	})
	client := c.dial(t)
	s := open(t, client, durable)
	defer s.Close()
	hidden := rows(rand.New(rand.NewPCG(7, 8)), 30)
	must(t, s.Append(0, hidden))
	ask(t, s, 29, 1)
	must(t, client.Close())
	eventually(t, func() bool {
		st := c.server.Stats()
		return st.Expired == 1 && st.Reserved == 0 && c.stage.Held() == 0 && st.Memory.Fixed == 0
	})
	c.resumed(t, s, 2)
	wantRow(t, ask(t, s, 29, 0), hidden)
}
