// Package synth makes models of random weights, for timing and for tests.
package synth

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"
)

// Options says how random weights are made.
type Options struct {
	Seed uint64
	// Type of the weight matrices: q4_0 (if empty), q4_1, q8_0, f16 or f32.
	Type string
	// Progress is called with bytes written of how many; may be nil.
	Progress func(step string, done, total int64)
}

// Projector is the shape of a projector for images, for models of the shape tiny-vision.
const Projector = "tiny-projector"

// Write writes a GGUF of a named shape with random weights to dst, for timing:
// it loads, runs at the speed of a real model, and says nothing. The same seed
// gives the same bytes.
func Write(ctx context.Context, shape, dst string, opt Options) error {
	if shape == Projector {
		return WriteProjector(ctx, TinyProjector("idefics3", shapes["tiny-vision"].Embedding), dst, opt.Seed)
	}
	s, err := ShapeNamed(shape)
	if err != nil {
		return err
	}
	return s.Write(ctx, shape, dst, opt)
}

// Write writes a GGUF of the shape as the function Write does, under a name.
func (s Shape) Write(ctx context.Context, name, dst string, opt Options) error {
	if opt.Type == "" {
		opt.Type = "q4_0"
	}
	ty, ok := synthTypes[opt.Type]
	if !ok {
		return fmt.Errorf("type %q cannot be made: use q4_0, q4_1, q8_0, f16 or f32", gguf.Short(opt.Type))
	}
	l, err := gguf.Plan(synthKVs(name, s), synthTensors(s, ty, opt.Seed))
	if err != nil {
		return err
	}
	dir, base := filepath.Split(dst)
	if dir == "" {
		dir = "."
	}
	if err := disk.CheckSpace(dir, l.Size()); err != nil {
		return err
	}
	return disk.PlaceFile(dir, base, func(f *os.File) error {
		return l.Write(ctx, disk.Metered(ctx, f, func(done int64) {
			if opt.Progress != nil {
				opt.Progress("write", done, l.Size())
			}
		}))
	})
}
