// Package split makes a bundle of a model: one GGUF for each stage, in the types that are
// wanted, and the manifest.
package split

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
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
	// Name is the model's, as clients ask for it; the source file's if empty.
	Name string
	// Type is TypeAuto (if empty), TypeQ4_0, TypeQ8_0 or TypeKeep.
	Type string
	// Quantizer converts weights; it is needed only where the type asks for it.
	Quantizer Quantizer
	// Parity compares the stages in dir with the unsplit model there. An error,
	// or a position with another token, fails the split. Nil skips the check.
	Parity func(ctx context.Context, dir string, m *bundle.Manifest) (bundle.ParityResult, error)
	// Progress is called, often, from the goroutine that called Model: what is
	// being done, and how many bytes of how many. May be nil.
	Progress func(step string, done, total int64)
	// AnyExit leaves the model's period out of account and the verdict to Parity:
	// for trying an architecture whose period is not known, and for tests.
	AnyExit bool
	// Draft is a whole smaller model with the tokens of the source, a GGUF, which becomes
	// the bundle's draft; none if empty. DraftName is its name; its file's if empty.
	Draft, DraftName string
	// Projector is what reads images for the source, a GGUF (mmproj); none if empty.
	Projector string
	// NoUnsplit saves the whole model's bytes; the oracle mode is then missing.
	NoUnsplit bool
}

// Model makes a bundle of the model src in the directory dir, replacing a
// bundle that is there. Until it returns nil, dir is as it was. Errors are one
// line with a hint; they wrap gguf.ErrFormat, ErrUnsupported, ErrParity,
// ErrBusy, syscall.ENOSPC or the context's error where that is the cause.
func Model(ctx context.Context, src, dir string, opt Options) (*bundle.Manifest, error) {
	if opt.Type == "" {
		opt.Type = TypeAuto
	}
	if err := validType(opt.Type); err != nil {
		return nil, err
	}
	for _, name := range []string{opt.Name, opt.DraftName} {
		if err := validName(name); err != nil {
			return nil, err
		}
	}
	real, err := filepath.EvalSymlinks(src)
	if err != nil {
		return nil, disk.OpenError(src, err)
	}
	f, err := gguf.Open(real)
	if err != nil {
		return nil, disk.OpenError(src, err)
	}
	defer f.Close()
	m, err := bundle.CheckFile(f)
	if err != nil {
		return nil, err
	}
	if len(opt.Exits) == 0 {
		opt.Exits = m.DefaultExits()
	}
	if err := opt.checkExits(m); err != nil {
		return nil, fmt.Errorf("%s: %w", src, err)
	}
	s := &splitter{slicer: slicer{f: f, m: m, want: opt.Type, q: opt.Quantizer}, opt: opt, src: real}
	if opt.Draft != "" {
		if s.draft, err = openDraft(f, opt.Draft, opt.DraftName); err != nil {
			return nil, err
		}
		defer s.draft.f.Close()
	}
	if opt.Projector != "" {
		if s.projector, err = openProjector(opt.Projector, m.Embedding); err != nil {
			return nil, err
		}
		defer s.projector.f.Close()
	}
	w, err := disk.NewWorkdir(dir, bundle.ManifestFile)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	s.dir = w.Path
	man, err := s.run(ctx)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := w.Commit(); err != nil {
		return nil, disk.WriteError(dir, err)
	}
	return man, nil
}

// modelName is what a name given by hand may be: one word that is a file's name as
// well, since ":" begins a tag for clients and "/" a directory.
var modelName = regexp.MustCompile(`^[\pL\pN][\pL\pN._+-]{0,127}$`)

func validName(name string) error {
	if name != "" && !modelName.MatchString(name) {
		return fmt.Errorf("the name %q: give letters, digits, and . _ + - within, 128 at most", name)
	}
	return nil
}

func (o *Options) checkExits(m *bundle.Model) error {
	if o.AnyExit {
		return bundle.CheckExits(o.Exits, m.Blocks)
	}
	return m.CheckExits(o.Exits)
}
