package decode

import (
	"fmt"
	"testing"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/appliance/infer"
)

// BenchmarkLoss is what losing the cloud costs the default model, by how much was said
// before: the gap until the board's whole model speaks, which has the rest of the model
// catch up on all of it, beside a token of the cloud before and of the board after. The
// cloud is in this process, without a link.
func BenchmarkLoss(b *testing.B) {
	bd := enginetest.Bundle(b)
	o := engine.Options{Context: context1, Threads: 1}
	open := func(r bundle.Role) *engine.Stage { return enginetest.Open(b, bd.Path(r), o) }
	first, far, rest := open(bundle.Board1), open(bundle.Cloud), open(bundle.Cloud)
	vocab := first.Vocab()
	b.Cleanup(vocab.Close)
	head, err := engine.NewHead(engine.HeadOptions{Norm: first, LM: first, Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(head.Close)
	m := Model{Vocab: vocab, Context: context1, Tail: rest, Exits: []Exit{{Stage: first, Head: head}}}
	for _, n := range []int{64, 256, 900} {
		b.Run(fmt.Sprintf("positions=%d", n), func(b *testing.B) {
			var before, gap, after float64
			for range b.N {
				for _, s := range []*engine.Stage{first, far, rest} {
					if err := s.Truncate(0, 0); err != nil {
						b.Fatal(err)
					}
				}
				const said = 12
				asked := 0
				cloud := &tail{lane: newLazyStage(far, 0), vocab: vocab.Size(), fail: func(int) error {
					if asked++; asked > said {
						return lostForNow
					}
					return nil
				}}
				prompt := make([]int32, n)
				for i := range prompt {
					prompt[i] = int32(1000 + i*7%2000)
				}
				var at []float64
				start := time.Now()
				a, err := NewSession(m, 0, cloud).Generate(b.Context(), prompt, Options{Mode: Collaborative, OnLoss: infer.GoAlone,
					Thresholds: []float64{1.1}, MaxTokens: 2 * said, IgnoreEnd: true}, func(infer.Token) { at = append(at, float64(time.Since(start).Microseconds())/1e3) })
				if err != nil || a.Handover < n {
					b.Fatalf("%d positions handed over, %v", a.Handover, err)
				}
				before += (at[said-1] - at[0]) / (said - 1)
				gap += at[said] - at[said-1]
				after += (at[2*said-1] - at[said]) / (said - 1)
			}
			b.ReportMetric(before/float64(b.N), "before-ms/token")
			b.ReportMetric(gap/float64(b.N), "gap-ms")
			b.ReportMetric(after/float64(b.N), "after-ms/token")
			b.ReportMetric(0, "ns/op")
		})
	}
}
