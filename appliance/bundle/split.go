package bundle

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"skerry/appliance/bundle/gguf"
)

// ErrParity is wrapped where the stages do not compute what the whole model
// computes.
var ErrParity = errors.New("parity check failed")

// Options says how a model is split.
type Options struct {
	// Exits are e1, or e1 and e2, in blocks from the beginning, on the model's
	// period; near 1/3 and 2/3 if empty. A later e2 makes the board hold more.
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
	// AnyExit leaves the model's period out of account and the verdict to Parity:
	// for trying an architecture whose period is not known, and for tests.
	AnyExit bool
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
		opt.Exits = m.DefaultExits()
	}
	if err := opt.checkExits(m); err != nil {
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

func (o *Options) checkExits(m *Model) error {
	if o.AnyExit {
		return checkExits(o.Exits, m.Blocks)
	}
	return m.checkExits(o.Exits)
}
