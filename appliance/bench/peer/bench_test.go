package peer_test

import (
	"math"
	"path/filepath"
	"testing"
	"time"

	"skerry/appliance/bench/peer"
	"skerry/appliance/bundle"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/parity"
	"skerry/appliance/bundle/split"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
)

const (
	promptLength = 256
	decodeLength = 64
	benchThreads = 2
)

// BenchmarkPeer times the same prompt and the same tokens after it on the peer and
// on our engine, in turns, for the default model as Q8_0 and as Q4_0. The figures
// are the best of the rounds: the two spin for work, and whatever else the machine
// does makes them slower.
func BenchmarkPeer(b *testing.B) {
	for name, path := range map[string]string{
		"q8_0": enginetest.Bundle(b).Path(bundle.Unsplit),
		"q4_0": splitAs(b, "q4_0"),
	} {
		b.Run(name, func(b *testing.B) { againstPeer(b, path) })
	}
}

func splitAs(b *testing.B, kind string) string {
	b.Helper()
	src, err := fetch.Model(b.Context(), "", fetch.Options{})
	if err != nil {
		b.Fatal(err)
	}
	dir := filepath.Join(b.TempDir(), kind)
	if _, err := split.Model(b.Context(), src, dir, split.Options{Type: kind, Quantizer: parity.Quantize}); err != nil {
		b.Fatal(err)
	}
	return filepath.Join(dir, bundle.Unsplit.File())
}

func againstPeer(b *testing.B, path string) {
	r := start(b, path, peer.Options{Threads: benchThreads, FlashAttention: true})
	ours, err := engine.OpenStage(path, engine.Options{Threads: benchThreads, Poll: 50})
	if err != nil {
		b.Fatal(err)
	}
	defer ours.Close()
	ids := make([]int32, promptLength+decodeLength)
	for i := range ids {
		ids[i] = int32(1000 + 37*i%40000)
	}
	theirs, mine := slowest(), slowest()
	for b.Loop() {
		for phase, part := range [][]int32{ids[:promptLength], ids[promptLength:]} {
			step := r.Prompt
			if phase == 1 {
				step = r.Decode
			}
			d, err := step(b.Context(), part)
			if err != nil {
				b.Fatal(err)
			}
			theirs[phase] = min(theirs[phase], d)
		}
		if err := ours.Truncate(0, 0); err != nil {
			b.Fatal(err)
		}
		for phase, step := range []int{promptLength, 1} {
			t := time.Now()
			for at := phase * promptLength; at < promptLength+phase*decodeLength; at += step {
				forward(b, ours, ids, at, step)
			}
			mine[phase] = min(mine[phase], time.Since(t))
		}
	}
	per := func(d time.Duration, n int) float64 { return d.Seconds() * 1e3 / float64(n) }
	b.ReportMetric(per(theirs[0], 1), "peer-prompt-ms")
	b.ReportMetric(per(mine[0], 1), "our-prompt-ms")
	b.ReportMetric(per(theirs[1], decodeLength), "peer-ms/token")
	b.ReportMetric(per(mine[1], decodeLength), "our-ms/token")
	b.ReportMetric(0, "ns/op")
}

func slowest() [2]time.Duration { return [2]time.Duration{math.MaxInt64, math.MaxInt64} }

// forward computes n tokens at position at, with logits of the last.
func forward(b *testing.B, s *engine.Stage, ids []int32, at, n int) {
	batch := engine.NewBatch(0, at, n, 0)
	batch.Tokens = ids[at : at+n]
	batch.Want[n-1] = engine.WantLogits
	if _, err := s.Forward(batch); err != nil {
		b.Fatal(err)
	}
}
