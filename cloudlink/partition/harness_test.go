package partition_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"skerry/build/testleak"
	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

func TestMain(m *testing.M) { testleak.Main(m) }

const (
	width = 16
	vocab = 500
)

// patience is a safety net, no assertion: a machine with other things to do may
// stop for many seconds.
const patience = 2 * time.Minute

var bundleID = wire.Hash{1, 2, 3}

// cloud is a partition serving a fake stage over real QUIC on loopback.
type cloud struct {
	stage  *fakestage.Stage
	server *partition.Server
	ln     transport.Listener
	dir    string
	killed bool // its socket was closed under it
	stop   func()
}

func newCloud(t testing.TB, stage *fakestage.Stage, change ...func(*partition.Config)) *cloud {
	t.Helper()
	c := &cloud{stage: stage, dir: t.TempDir()}
	ln, err := cloudlink.ListenDev("127.0.0.1:0", c.dir)
	if err != nil {
		t.Fatal(err)
	}
	c.ln = ln
	c.serve(t, change...)
	return c
}

func (c *cloud) serve(t testing.TB, change ...func(*partition.Config)) {
	t.Helper()
	conf := partition.Config{
		Bundles: []partition.Bundle{{ID: bundleID, Name: "fake", Stage: c.stage}},
		Version: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, f := range change {
		f(&conf)
	}
	server, err := partition.NewServer(conf)
	if err != nil {
		t.Fatal(err)
	}
	c.server = server
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, c.ln) }()
	stopped := false
	c.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-served; err != nil && !c.killed {
			t.Error(err)
		}
		c.ln.Close()
	}
	t.Cleanup(c.stop)
}

func (c *cloud) dial(t testing.TB, change ...func(*cloudlink.Config)) *cloudlink.Client {
	t.Helper()
	_, tlsConf, err := cloudlink.DevTLS(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	conf := cloudlink.Config{
		Addr: c.ln.Addr().String(), TLS: tlsConf, Device: t.Name(), Version: "test", Epoch: 1,
		Idle: patience, Handshake: patience,
	}
	for _, f := range change {
		f(&conf)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := cloudlink.Dial(ctx, conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func open(t testing.TB, c *cloudlink.Client, change ...func(*cloudlink.SessionOptions)) *cloudlink.Session {
	t.Helper()
	opt := cloudlink.SessionOptions{Bundle: bundleID, Width: width, Context: 1024}
	for _, f := range change {
		f(&opt)
	}
	s, err := c.OpenSession(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rows makes n hidden states that no other rng state makes.
func rows(rng *rand.Rand, n int) []float32 {
	out := make([]float32, n*width)
	for i := range out {
		out[i] = rng.Float32()
	}
	return out
}

// ask asks with patience and fails the test on an error.
func ask(t testing.TB, s *cloudlink.Session, pos, topK int) cloudlink.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a, err := s.Ask(ctx, pos, topK)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// wantRow checks an answer with topK 0 against the rows of the sequence up to
// the asked one.
func wantRow(t testing.TB, a cloudlink.Answer, hidden []float32) {
	t.Helper()
	if want := fakestage.Expect(hidden, width, vocab); !slices.Equal(a.Row, want) {
		t.Fatalf("after %d rows: got logits %v..., want %v...", len(hidden)/width, a.Row[:3], want[:3])
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// eventually waits until ok, looking again every millisecond.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited in vain")
		}
	}
}
