package engine_test

import (
	"flag"
	"fmt"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
)

var rowsModel = flag.String("rows-model", "", "GGUF whose passes BenchmarkRows times; the default model where none is given")

// BenchmarkRows is what a pass of 1 to 8 rows costs that wants the logits of all of them, as a
// check of drafts does: processor time, which other programs disturb less, and the cost of a
// further row as a share of a pass of one.
func BenchmarkRows(b *testing.B) {
	const known = 64
	path := *rowsModel
	if path == "" {
		path = enginetest.Bundle(b).Path(bundle.Unsplit)
	}
	s := enginetest.Open(b, path, engine.Options{Context: 2 * known, Threads: 1})
	feed(b, s, 0, 0, randomTokens(known, 40000, 3), nil, known, 0)
	var one float64
	for _, n := range []int{1, 2, 3, 4, 5, 8} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			batch := engine.NewBatch(0, known, n, engine.WantLogits)
			batch.Tokens = randomTokens(n, 40000, 4)
			start := processorTime()
			for b.Loop() {
				if _, err := s.Forward(batch); err != nil {
					b.Fatal(err)
				}
				must(b, s.Truncate(0, known))
			}
			ms := float64((processorTime() - start).Microseconds()) / 1000 / float64(b.N)
			b.ReportMetric(ms, "cpu-ms")
			if n == 1 {
				one = ms
			} else if one > 0 {
				b.ReportMetric((ms/one-1)/float64(n-1), "m")
			}
		})
	}
}
