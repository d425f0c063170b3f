package partition_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/wire"
)

func ready(t testing.TB, s *cloudlink.Session) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return s.Ready(ctx)
}

func TestUnknownBundle(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	client := c.dial(t)
	s := open(t, client, func(o *cloudlink.SessionOptions) { o.Bundle = wire.Hash{9} })
	err := ready(t, s)
	wantErr(t, err, cloudlink.ErrUnknownBundle)
	var remote *cloudlink.RemoteError
	if !errors.As(err, &remote) || len(remote.Bundles) != 1 || remote.Bundles[0].ID != bundleID {
		t.Fatalf("%+v", remote)
	}
	_, err = s.Ask(t.Context(), 0, 1)
	wantErr(t, err, cloudlink.ErrUnknownBundle)
	wantErr(t, s.Append(0, nil), cloudlink.ErrUnknownBundle)
	must(t, ready(t, open(t, client))) // the connection goes on
	eventually(t, func() bool { w, ok := client.Welcome(); return ok && w.Bundles[0].Name == "fake" })
}

func TestContextTooLong(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64))
	client := c.dial(t)
	long := func(n int) func(*cloudlink.SessionOptions) {
		return func(o *cloudlink.SessionOptions) { o.Context = n }
	}
	wantErr(t, ready(t, open(t, client, long(1025))), cloudlink.ErrContextFull)
	must(t, ready(t, open(t, client, long(0)))) // an equal share, 512
	must(t, ready(t, open(t, client, long(700))))
	err := ready(t, open(t, client, long(100)))
	wantErr(t, err, cloudlink.ErrBusy)
	var remote *cloudlink.RemoteError
	if errors.As(err, &remote); remote.RetryAfter <= 0 {
		t.Errorf("busy without a time to try again: %+v", remote)
	}
}

func TestBeyondContext(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 4, 1024, 64))
	s := open(t, c.dial(t), func(o *cloudlink.SessionOptions) { o.Context = 10 })
	must(t, ready(t, s))
	rng := rand.New(rand.NewPCG(5, 5))
	wantErr(t, s.Append(0, rows(rng, 11)), cloudlink.ErrContextFull)
	_, err := s.Ask(t.Context(), 10, 1)
	wantErr(t, err, cloudlink.ErrContextFull)
	must(t, s.Append(0, rows(rng, 10)))
	ask(t, s, 9, 1)
}

// TestSequencesAreFreed opens more sessions one after another than there is
// room for at once, some closed and some dropped with their connection.
func TestSequencesAreFreed(t *testing.T) {
	stage := fakestage.New(width, vocab, 2, 2048, 64)
	c := newCloud(t, stage)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 8 {
		client := c.dial(t)
		s := open(t, client)
		hidden := rows(rng, 20)
		must(t, s.Append(0, hidden))
		wantRow(t, ask(t, s, 19, 0), hidden)
		if i%2 == 0 {
			must(t, s.Close())
		}
		must(t, client.Close())
		_, err := s.Ask(t.Context(), 19, 1)
		wantErr(t, err, cloudlink.ErrClosed)
	}
	eventually(t, func() bool {
		st := c.server.Stats()
		return st.Sessions == 0 && st.Reserved == 0 && st.Queued == 0 && stage.Held() == 0
	})
}

// TestEpochs: the newer connection of a device takes a session over, the older
// one cannot take it back.
func TestEpochs(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	id := wire.SessionID{42}
	same := func(o *cloudlink.SessionOptions) { o.ID = id }
	epoch := func(n uint64) func(*cloudlink.Config) {
		return func(conf *cloudlink.Config) { conf.Epoch = n }
	}
	rng := rand.New(rand.NewPCG(5, 7))
	first := open(t, c.dial(t, epoch(5)), same)
	hidden := rows(rng, 4)
	must(t, first.Append(0, hidden))
	wantRow(t, ask(t, first, 3, 0), hidden)

	wantErr(t, ready(t, open(t, c.dial(t, epoch(4)), same)), cloudlink.ErrStale)
	wantErr(t, ready(t, open(t, c.dial(t, epoch(5)), same)), cloudlink.ErrStale)
	wantRow(t, ask(t, first, 3, 0), hidden) // refused claims change nothing

	second := open(t, c.dial(t, epoch(6)), same)
	hidden = rows(rng, 5)
	must(t, second.Append(0, hidden))
	wantRow(t, ask(t, second, 4, 0), hidden)
	<-first.Done()
	wantErr(t, first.Err(), cloudlink.ErrStale)
}

func TestNewServerRefuses(t *testing.T) {
	b := partition.Bundle{ID: bundleID, Stage: fakestage.New(width, vocab, 1, 1024, 64)}
	for name, bundles := range map[string][]partition.Bundle{
		"nothing": nil, "twice the same": {b, b}, "no stage": {{ID: bundleID}},
		"empty stage": {{ID: bundleID, Stage: fakestage.New(0, 0, 0, 0, 0)}},
	} {
		_, err := partition.NewServer(partition.Config{Bundles: bundles})
		if !errors.Is(err, partition.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
