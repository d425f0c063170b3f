package partition_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
)

// BenchmarkBoards64Sessions compares, over real QUIC on loopback, what one
// session and 64 of eight boards get of a stage that takes 2 ms for the first
// row of a pass and a twentieth of it for every other. Each iteration is one
// answer of the 64; the ratio is of answers by time.
func BenchmarkBoards64Sessions(b *testing.B) {
	stage := costly(65)
	stage.Before = fakestage.Cost(2*time.Millisecond, otherRow)
	c := newEight(b, stage, func(conf *partition.Config) { conf.Log = slog.New(slog.DiscardHandler) })
	client := c.dial(b)
	alone := rate(b, []*cloudlink.Session{open(b, client)}, 300)
	var sessions []*cloudlink.Session
	for range 8 {
		client := c.dial(b)
		for range 8 {
			sessions = append(sessions, open(b, client))
		}
	}
	b.ResetTimer()
	together := rate(b, sessions, max(b.N, 64))
	b.ReportMetric(alone, "answers/s-alone")
	b.ReportMetric(together, "answers/s-of-64")
	b.ReportMetric(together/alone, "times-alone")
	b.ReportMetric(float64(c.server.Stats().PerRow.Microseconds()), "µs/row")
}

// rate has the sessions answer n single rows in all, and returns how many a
// second.
func rate(b *testing.B, sessions []*cloudlink.Session, n int) float64 {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	answers := make(chan struct{})
	ended := make(chan struct{})
	for _, s := range sessions {
		go func() {
			defer func() { ended <- struct{}{} }()
			hidden := make([]float32, width)
			for pos := 0; ctx.Err() == nil; pos++ {
				if pos == 1024 {
					pos = 0
					s.Truncate(0)
				}
				s.Append(pos, hidden)
				if _, err := s.Ask(ctx, pos, 1); err != nil {
					return
				}
				select {
				case answers <- struct{}{}:
				case <-ctx.Done():
				}
			}
		}()
	}
	start := time.Now()
	for range n {
		<-answers
	}
	took := time.Since(start)
	cancel()
	for range sessions {
		<-ended
	}
	return float64(n) / took.Seconds()
}
