package main

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"skerry/appliance/bundle"
	"skerry/appliance/cloudnode"
	"skerry/appliance/engine"
	"skerry/cloudlink"
	"skerry/cloudlink/partition"
)

const (
	boardsSessions, boardsRows = 8, 40
	// batchedApart is what a logit of a batch may differ by from that of a row alone.
	batchedApart = 1e-2
)

// TestBoardsShareTail: eight sessions that are computed together in the tail
// stage of a real model get the rows each gets alone, to the tolerance of
// batched arithmetic. How much faster together is printed.
func TestBoardsShareTail(t *testing.T) {
	stage, server, session := boardsTail(t, tinyBundle(t))
	var err error
	alone := make([][][]float32, boardsSessions)
	start := time.Now()
	for i := range alone {
		s := session()
		if alone[i], err = tailRows(s, i, stage.Width(), 0); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	one := time.Since(start)
	before := server.Stats()
	var g errgroup.Group
	together := make([][][]float32, boardsSessions)
	start = time.Now()
	for i := range together {
		s := session()
		g.Go(func() (err error) {
			together[i], err = tailRows(s, i, stage.Width(), 0)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	took, st := time.Since(start), server.Stats()
	t.Logf("%d rows: %v one session after another, %v together in %d passes, %.1f times as fast",
		boardsSessions*boardsRows, one.Round(time.Millisecond), took.Round(time.Millisecond),
		st.Forwards-before.Forwards, one.Seconds()/took.Seconds())
	worst := 0.0
	for i := range alone {
		for pos := range alone[i] {
			for k, v := range alone[i][pos] {
				worst = max(worst, math.Abs(float64(v-together[i][pos][k])))
			}
			row, said := alone[i][pos], best(together[i][pos])
			if row[best(row)]-row[said] > 2*batchedApart { // else the two are as good as even
				t.Errorf("session %d says another token at %d when batched", i, pos)
			}
		}
	}
	t.Logf("logits differ by at most %.2g", worst)
	if worst > batchedApart {
		t.Errorf("logits differ by %v", worst)
	}
}

// boardsTail serves the tail stage of a bundle, one thread, and returns with it
// what opens a session.
func boardsTail(t testing.TB, dir string) (*engine.Stage, *partition.Server, func() *cloudlink.Session) {
	t.Helper()
	b, err := bundle.Open(t.Context(), dir, bundle.Cloud)
	if err != nil {
		t.Fatal(err)
	}
	engine.Init("")
	stage, err := engine.OpenStage(b.Path(bundle.Cloud), engine.Options{
		Context: 128 * boardsSessions, Sequences: boardsSessions, Threads: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stage.Close() })
	client, server := serveTail(t, partition.Bundle{ID: b.Manifest.ID(), Stage: cloudnode.NewTail(stage)})
	return stage, server, func() *cloudlink.Session {
		t.Helper()
		s, err := client.OpenSession(t.Context(), cloudlink.SessionOptions{
			Bundle: b.Manifest.ID(), Width: stage.Width(), Context: 128,
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// BenchmarkBoardsTail compares one session with eight on the tail stage of a
// model of 135 million parameters, one thread. An iteration is 40 rows of each
// of the eight.
func BenchmarkBoardsTail(b *testing.B) {
	src, dir := filepath.Join(b.TempDir(), "model.gguf"), filepath.Join(b.TempDir(), "bundle")
	expect(b, 0, "model", "synth", "smollm2-135m", "-o", src)
	expect(b, 0, "model", "split", src, "-o", dir)
	stage, server, session := boardsTail(b, dir)
	s := session()
	start := time.Now()
	if _, err := tailRows(s, 0, stage.Width(), 1); err != nil {
		b.Fatal(err)
	}
	alone := boardsRows / time.Since(start).Seconds()
	s.Close()
	b.ResetTimer()
	start = time.Now()
	for range b.N {
		var g errgroup.Group
		for i := range boardsSessions {
			s := session()
			g.Go(func() error {
				_, err := tailRows(s, i, stage.Width(), 1)
				s.Close()
				return err
			})
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	together := float64(b.N*boardsSessions*boardsRows) / time.Since(start).Seconds()
	b.ReportMetric(alone, "rows/s-alone")
	b.ReportMetric(together, "rows/s-of-8")
	b.ReportMetric(together/alone, "times-alone")
	b.ReportMetric(float64(server.Stats().PerRow.Microseconds()), "µs/row")
}

func best(row []float32) int { return slices.Index(row, slices.Max(row)) }

// serveTail serves b on loopback and connects to it.
func serveTail(t testing.TB, b partition.Bundle) (*cloudlink.Client, *partition.Server) {
	t.Helper()
	certs := t.TempDir()
	ln, err := cloudlink.ListenDev("127.0.0.1:0", certs)
	if err != nil {
		t.Fatal(err)
	}
	server, err := partition.NewServer(partition.Config{Bundles: []partition.Bundle{b}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, ln) }()
	_, conf, err := cloudlink.DevTLS(certs)
	if err != nil {
		t.Fatal(err)
	}
	client, err := cloudlink.Dial(t.Context(), cloudlink.Config{Addr: ln.Addr().String(), TLS: conf, Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		ln.Close()
	})
	return client, server
}

// tailRows sends the hidden states of stream seed, one by one, and returns the
// row of logits of each, nil where topK is not 0.
func tailRows(s *cloudlink.Session, seed, width, topK int) ([][]float32, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rng := rand.New(rand.NewPCG(17, uint64(seed)))
	var out [][]float32
	for pos := range boardsRows {
		row := make([]float32, width)
		for i := range row {
			row[i] = float32(rng.NormFloat64())
		}
		if err := s.Append(pos, row); err != nil {
			return nil, err
		}
		a, err := s.Ask(ctx, pos, topK)
		if err != nil {
			return nil, err
		}
		out = append(out, a.Row)
	}
	return out, nil
}
