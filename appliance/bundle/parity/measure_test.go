package parity_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/parity"
	"skerry/appliance/bundle/split"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/appliance/infer"
)

// forward runs tokens as one sequence from position 0, all wanting the same.
func forward(b *testing.B, s *engine.Stage, tokens []int32, want engine.Want) engine.Output {
	b.Helper()
	if err := s.Truncate(0, 0); err != nil {
		b.Fatal(err)
	}
	batch := engine.NewBatch(0, 0, len(tokens), want)
	batch.Tokens = tokens
	if want == 0 {
		batch.Want[len(tokens)-1] = engine.WantLogits
	}
	out, err := s.Forward(batch)
	if err != nil {
		b.Fatal(err)
	}
	return out
}

// BenchmarkTypes measures what requantizing the default model's Q4_1 costs and
// gains: agreement of greedy tokens with the file as it came and the mean
// negative log-likelihood over 768 positions of a page of this repository, prefill of 256
// tokens, decode, bytes.
func BenchmarkTypes(b *testing.B) {
	src, err := fetch.Model(b.Context(), "", fetch.Options{})
	if err != nil {
		b.Skipf("skipped: %v", err)
	}
	text, err := os.ReadFile("../../../build/MEASURED.md")
	if err != nil {
		b.Fatal(err)
	}
	var ref []int32
	for _, ty := range []string{split.TypeKeep, split.TypeQ8_0, split.TypeQ4_0} {
		b.Run(ty, func(b *testing.B) {
			dir := filepath.Join(b.TempDir(), "b")
			m, err := split.Model(b.Context(), src, dir, split.Options{Type: ty, Quantizer: parity.Quantize})
			if err != nil {
				b.Fatal(err)
			}
			s, err := engine.OpenStage(filepath.Join(dir, bundle.Unsplit.File()), engine.Options{Threads: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			v := s.Vocab()
			defer v.Close()
			tokens, err := v.Tokenize(string(text), true, false)
			if err != nil {
				b.Fatal(err)
			}
			tokens = tokens[:768]
			logits := forward(b, s, tokens, engine.WantLogits).Logits
			said, nll, same := []int32(nil), 0.0, 0
			for i := range tokens {
				row := logits[i*s.VocabSize() : (i+1)*s.VocabSize()]
				said = append(said, int32(engine.Best(row)))
				if i+1 < len(tokens) {
					nll += engine.Describe(row).LogSumExp - float64(row[tokens[i+1]])
				}
			}
			if ref == nil {
				ref = said
			}
			for i := range said {
				if said[i] == ref[i] {
					same++
				}
			}
			var prefill, decode []float64
			for b.Loop() {
				start := time.Now()
				forward(b, s, tokens[:256], 0)
				prefill = append(prefill, time.Since(start).Seconds()*1000)
				for i := range 32 {
					start := time.Now()
					_, err := s.Forward(engine.Batch{Tokens: tokens[256+i : 257+i], Pos: []int32{int32(256 + i)}, Want: []engine.Want{engine.WantLogits}})
					if err != nil {
						b.Fatal(err)
					}
					decode = append(decode, time.Since(start).Seconds()*1000)
				}
			}
			whole, _ := m.Stage(bundle.Unsplit)
			b.ReportMetric(float64(same)/float64(len(said)), "agreement")
			b.ReportMetric(nll/float64(len(tokens)-1), "nll")
			b.ReportMetric(median(prefill), "ms/prefill256")
			b.ReportMetric(median(decode), "ms/token")
			b.ReportMetric(float64(whole.Bytes)/1e6, "MB")
		})
	}
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// BenchmarkExits measures how often the model's own norm and LM head, put on an
// earlier block, say the full model's greedy token, by confidence, over the full
// model's own answers.
func BenchmarkExits(b *testing.B) {
	path := enginetest.Bundle(b).Path(bundle.Unsplit)
	open := func(tap int) *engine.Stage {
		s, err := engine.OpenStage(path, engine.Options{Threads: 1, Context: 512, Tap: tap})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(s.Close)
		return s
	}
	whole := open(0)
	v := whole.Vocab()
	defer v.Close()
	var texts [][]int32
	var starts []int
	for _, q := range []string{"What is a lighthouse for?", "Write a short story about a fisherman.", "Explain how rain forms.",
		"List five fruits and their colours.", "Why is the sky blue?", "Write a Python function that adds two numbers.",
		"Summarize the plot of Romeo and Juliet.", "Give me tips for better sleep."} {
		text, err := v.Chat([]infer.Message{{Role: "user", Content: q}})
		if err != nil {
			b.Fatal(err)
		}
		tokens, err := v.Tokenize(text, true, true)
		if err != nil {
			b.Fatal(err)
		}
		starts = append(starts, len(tokens))
		row := forward(b, whole, tokens, 0).Logits
		for n := 0; n < 150; n++ {
			tokens = append(tokens, int32(engine.Best(row)))
			at := len(tokens) - 1
			if v.End(tokens[at]) {
				break
			}
			out, err := whole.Forward(engine.Batch{Tokens: tokens[at:], Pos: []int32{int32(at)}, Want: []engine.Want{engine.WantLogits}})
			if err != nil {
				b.Fatal(err)
			}
			row = out.Logits
		}
		texts = append(texts, tokens)
	}
	for _, tap := range []int{10, 15, 20, 24, 26} {
		b.Run(fmt.Sprintf("block%d", tap), func(b *testing.B) {
			s := open(tap)
			h, err := engine.NewHead(engine.HeadOptions{Norm: s, LM: s, Threads: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			floors := []float64{0.8, 0.95, 0.99}
			for b.Loop() {
				said, right, all := make([]float64, len(floors)), make([]float64, len(floors)), 0.0
				for k, tokens := range texts {
					hidden := forward(b, s, tokens, engine.WantHidden).Hidden
					for i := starts[k] - 1; i < len(tokens)-1; i++ {
						row, err := h.Logits(hidden[i*s.Width() : (i+1)*s.Width()])
						if err != nil {
							b.Fatal(err)
						}
						all++
						for f, floor := range floors {
							if engine.Describe(row).Confidence >= floor {
								said[f]++
								if int32(engine.Best(row)) == tokens[i+1] {
									right[f]++
								}
							}
						}
					}
				}
				for f, name := range []string{"0.80", "0.95", "0.99"} {
					b.ReportMetric(said[f]/all, "share"+name)
					b.ReportMetric(right[f]/math.Max(1, said[f]), "agreement"+name)
				}
			}
		})
	}
}
