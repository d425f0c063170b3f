package bundle

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"skerry/appliance/bundle/gguf"
)

// ErrParity is wrapped where the stages do not compute what the whole model
// computes.
var ErrParity = errors.New("parity check failed")

// Options says how a model is split.
type Options struct {
	// Exits are e1, or e1 and e2, in blocks from the beginning; at 1/3 and 2/3
	// if empty. A later e2 makes the board hold more.
	Exits []int
	// Type is TypeAuto (if empty), TypeQ4_0, TypeQ8_0 or TypeKeep.
	Type string
	// Quantizer converts weights; it is needed only where the type asks for it.
	Quantizer Quantizer
	// Parity compares the stages in dir with the unsplit model there. An error,
	// or a position with another token, fails the split. Nil skips the check.
	Parity func(ctx context.Context, dir string, m *Manifest) (ParityResult, error)
	// Progress is called, often, from the goroutine that called Split: what is
	// being done, and how many bytes of how many. May be nil.
	Progress func(step string, done, total int64)
	// NoUnsplit saves the whole model's bytes; the oracle mode is then missing.
	NoUnsplit bool
}

// Split makes a bundle of the model src in the directory dir, replacing a
// bundle that is there. Until it returns nil, dir is as it was. Errors are one
// line with a hint; they wrap gguf.ErrFormat, ErrUnsupported, ErrParity,
// ErrBusy, syscall.ENOSPC or the context's error where that is the cause.
func Split(ctx context.Context, src, dir string, opt Options) (*Manifest, error) {
	if opt.Type == "" {
		opt.Type = TypeAuto
	}
	if err := validType(opt.Type); err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(src)
	if err != nil {
		return nil, openError(src, err)
	}
	f, err := gguf.Open(real)
	if err != nil {
		return nil, openError(src, err)
	}
	defer f.Close()
	m, err := check(f)
	if err != nil {
		return nil, err
	}
	if len(opt.Exits) == 0 {
		opt.Exits = DefaultExits(m.Blocks)
	}
	if err := checkExits(opt.Exits, m.Blocks); err != nil {
		return nil, fmt.Errorf("%s: %w", src, err)
	}
	w, err := newWorkdir(dir)
	if err != nil {
		return nil, err
	}
	defer w.close()
	s := &splitter{slicer: slicer{f: f, m: m, want: opt.Type, q: opt.Quantizer}, opt: opt, src: real, dir: w.path}
	man, err := s.run(ctx)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := w.commit(); err != nil {
		return nil, writeError(dir, err)
	}
	return man, nil
}

// DefaultExits puts two exits at 1/3 and 2/3 of n blocks; one in a model of two
// blocks, none in a smaller one.
func DefaultExits(n int) []int {
	switch {
	case n < 2:
		return nil
	case n == 2:
		return []int{1}
	}
	third := float64(n) / 3
	return []int{int(math.Round(third)), int(math.Round(2 * third))}
}

func checkExits(exits []int, n int) error {
	if n < 2 {
		return fmt.Errorf("a model of %d block cannot be split: use a deeper one", n)
	}
	if len(exits) < 1 || len(exits) > 2 {
		return fmt.Errorf("%d exits, one or two are possible: give --exits a or a,b", len(exits))
	}
	for i, e := range exits {
		if e < 1 || e >= n {
			return fmt.Errorf("exit %d is out of range: give exits from 1 to %d for %d blocks", e, n-1, n)
		}
		if i > 0 && e <= exits[i-1] {
			return fmt.Errorf("exits %d,%d do not ascend: give the earlier one first", exits[i-1], e)
		}
	}
	return nil
}
