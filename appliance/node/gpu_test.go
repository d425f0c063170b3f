package node

import (
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/decode/batch"
	"skerry/appliance/engine"
	"skerry/appliance/engine/gpu"
)

// What a GPU has of its own is room for the model, and what it shares with the processor is
// counted once.
func TestMemoryWithAGPU(t *testing.T) {
	const gib = 1 << 30
	man := &bundle.Manifest{Blocks: 10, WholeBytes: 5 * gib}
	own := engine.GPU{Name: "CUDA0 (a card)", Free: 8 * gib, Total: 8 * gib}
	for name, c := range map[string]struct {
		gpu    engine.GPU
		layers gpu.Layers
		more   int64
	}{
		"none":                 {engine.GPU{Not: "it has failed"}, gpu.Auto, 0},
		"of its own":           {own, gpu.Auto, 7*gib - mostScratch},
		"all layers":           {own, gpu.All, 7*gib - mostScratch},
		"four layers":          {own, 4, 2 * gib},
		"no layers":            {own, 0, 0},
		"the board's":          {engine.GPU{Name: "CUDA0 (Orin)", Free: 8 * gib, Total: 8 * gib, Unified: true}, gpu.Auto, 0},
		"hardly anything free": {engine.GPU{Name: "CUDA0 (a card)", Free: 1 << 20, Total: 8 * gib}, gpu.All, 0},
	} {
		before := batch.Memory{Total: 4 * gib, Available: 3 * gib, Limits: []batch.Limit{{Name: "cgroup", Bytes: 2 * gib, Free: gib}}}
		after := withGPU(before, c.gpu, c.layers, man)
		if c.layers == gpu.All && c.more > 5*gib {
			c.more = 5 * gib
		}
		if got := after.Available - before.Available; got != c.more || after.Total-before.Total != c.more || after.Limits[0].Free-before.Limits[0].Free != c.more {
			t.Errorf("%s: %d bytes more, want %d", name, got, c.more)
		}
	}
}
