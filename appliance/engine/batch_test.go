package engine_test

import (
	"fmt"
	"math"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
)

// BenchmarkBatchDifference measures how far the default model's logits in batches
// lie from those of one position at a time: 0 on amd64 and with armv8.0_1, 1.8 with
// armv8.2_2 and 1.0 with armv8.6_1 over these tokens, which make no text.
func BenchmarkBatchDifference(b *testing.B) {
	s := enginetest.Open(b, enginetest.Bundle(b).Path(bundle.Unsplit), engine.Options{Context: 64, Threads: 1})
	tokens := randomTokens(16, s.VocabSize(), 1)
	one := feed(b, s, 0, 0, tokens, nil, 1, engine.WantLogits).Logits
	for _, size := range []int{2, 4, 16} {
		b.Run(fmt.Sprint("of", size), func(b *testing.B) {
			most := 0.0
			for b.Loop() {
				if err := s.Truncate(0, 0); err != nil {
					b.Fatal(err)
				}
				for i, l := range feed(b, s, 0, 0, tokens, nil, size, engine.WantLogits).Logits {
					most = math.Max(most, math.Abs(float64(l-one[i])))
				}
			}
			b.ReportMetric(most, "max-logit-difference")
		})
	}
}
