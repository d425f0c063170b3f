package bundle

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"skerry/appliance/bundle/gguf"
)

// SynthOptions says how random weights are made.
type SynthOptions struct {
	Seed uint64
	// Type of the weight matrices: q4_0 (if empty), q4_1, q8_0, f16 or f32.
	Type string
	// Progress is called with bytes written of how many; may be nil.
	Progress func(step string, done, total int64)
}

// Synth writes a GGUF of a named shape with random weights to dst, for timing:
// it loads, runs at the speed of a real model, and says nothing. The same seed
// gives the same bytes.
func Synth(ctx context.Context, shape, dst string, opt SynthOptions) error {
	s, err := ShapeNamed(shape)
	if err != nil {
		return err
	}
	if opt.Type == "" {
		opt.Type = TypeQ4_0
	}
	ty, ok := synthTypes[opt.Type]
	if !ok {
		return fmt.Errorf("type %q cannot be made: use q4_0, q4_1, q8_0, f16 or f32", short(opt.Type))
	}
	l, err := gguf.Plan(synthKVs(shape, s), synthTensors(s, ty, opt.Seed))
	if err != nil {
		return err
	}
	dir, base := filepath.Split(dst)
	if dir == "" {
		dir = "."
	}
	if err := checkSpace(dir, l.Size()); err != nil {
		return err
	}
	return placeFile(dir, base, func(f *os.File) error {
		var n int64
		return l.Write(ctx, &meter{ctx: ctx, w: f, n: &n, report: func(done int64) {
			if opt.Progress != nil {
				opt.Progress("write", done, l.Size())
			}
		}})
	})
}
