package engine_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
)

// BenchmarkSequences is what the next token of several sequences costs, computed in
// one Forward: processor time, which other programs disturb less. The numbers that
// are not consecutive take a pass each.
func BenchmarkSequences(b *testing.B) {
	const sequences, each, known = 8, 512, 200
	s := enginetest.Open(b, enginetest.Bundle(b).Path(bundle.Unsplit), engine.Options{Context: sequences * each, Sequences: sequences, Threads: 1})
	for q := range sequences {
		feed(b, s, q, 0, randomTokens(known, 40000, uint64(q)), nil, 64, 0)
	}
	for _, seqs := range [][]int32{{0}, {0, 1}, {0, 2}, {0, 1, 2}, {0, 1, 2, 3}, {0, 2, 4, 6}, {0, 1, 2, 3, 4, 5, 6, 7}} {
		b.Run(fmt.Sprint(seqs), func(b *testing.B) {
			batch := engine.Batch{Seq: seqs}
			for range seqs {
				batch.Tokens, batch.Pos, batch.Want = append(batch.Tokens, 500), append(batch.Pos, known), append(batch.Want, engine.WantLogits)
			}
			start := processorTime()
			for b.Loop() {
				if _, err := s.Forward(batch); err != nil {
					b.Fatal(err)
				}
				for _, q := range seqs {
					if err := s.Truncate(int(q), known); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64((processorTime()-start).Microseconds())/1000/float64(b.N), "cpu-ms")
		})
	}
}

func processorTime() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
