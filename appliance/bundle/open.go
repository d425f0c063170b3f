package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"
)

// Errors of Open and Verify.
var (
	ErrMissing = errors.New("missing from the bundle")
	ErrCorrupt = errors.New("corrupt")
	ErrForeign = errors.New("of another bundle")
	// ErrDraft is wrapped beside one of these where it is the draft that cannot be used:
	// without it the bundle may be whole.
	ErrDraft = errors.New("the draft cannot be used")
)

// Bundle is a directory whose wanted files were found to be what the manifest
// says.
type Bundle struct {
	Dir      string
	Manifest *Manifest
}

// Path is the file of a role.
func (b *Bundle) Path(r Role) string { return filepath.Join(b.Dir, r.File()) }

// Open reads the manifest of the bundle in dir and checks the files of the
// given roles, all of them if none is given, and the exit heads of those on the
// board: size, sha256, and that each is what it should be. The other files may be
// corrupt or absent. Errors wrap ErrManifest, ErrMissing, ErrCorrupt, ErrForeign or the
// context's error; where the draft is to blame and every other file is as it should be,
// ErrDraft too, and the bundle that is returned beside it can be used without its draft.
func Open(ctx context.Context, dir string, roles ...Role) (*Bundle, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	b := &Bundle{dir, m}
	var stages []Stage
	draft := len(roles) == 0 && m.Draft != nil
	for _, r := range roles {
		if r == DraftModel {
			draft = true
			continue
		}
		st, ok := m.Stage(r)
		if !ok {
			return nil, fmt.Errorf("%s: stage %s is %w: split the model again to have it", dir, r, ErrMissing)
		}
		stages = append(stages, st)
	}
	if len(roles) == 0 {
		stages = m.Stages
	}
	return b, b.verify(ctx, stages, draft)
}

// Verify checks every file of the bundle in dir as Open does. The unsplit model
// may be absent.
func Verify(ctx context.Context, dir string) error {
	m, err := ReadManifest(dir)
	if err != nil {
		return err
	}
	b := &Bundle{dir, m}
	stages := m.Stages
	if last := stages[len(stages)-1]; last.Role == Unsplit {
		if _, err := os.Stat(b.Path(Unsplit)); errors.Is(err, fs.ErrNotExist) {
			stages = stages[:len(stages)-1]
		}
	}
	if err := b.verify(ctx, stages, m.Draft != nil); err != nil || m.Projector == nil {
		return err
	}
	return b.VerifyProjector(ctx)
}

// verify checks files of the bundle. What is wrong with the draft is returned only where
// nothing is wrong with the others.
func (b *Bundle) verify(ctx context.Context, stages []Stage, draft bool) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for _, st := range stages {
		g.Go(func() error { return b.verifyStage(gctx, st) })
		if i := slices.Index([]Role{Board1, Board2}, st.Role); i >= 0 {
			g.Go(func() error {
				_, err := b.FittedHead(gctx, b.Manifest.Exits[i])
				return err
			})
		}
	}
	var draftErr error
	if draft {
		g.Go(func() error {
			draftErr = b.verifyDraft(gctx)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return draftErr
}

func (b *Bundle) verifyStage(ctx context.Context, st Stage) error {
	path := b.Path(st.Role)
	same, err := holds(ctx, path, st.Bytes, st.SHA256)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is %w: copy it there or split the model again", path, ErrMissing)
	}
	if err != nil {
		return err
	}
	if !same {
		return b.blame(path, st)
	}
	f, err := gguf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := b.owns(f, st); err != nil {
		return err
	}
	return b.fits(f, st)
}

// holds reports whether the file at path is regular and has that size and sha256. It is
// read only where the size is right.
func holds(ctx context.Context, path string, bytes int64, sha256 string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != bytes {
		return false, err
	}
	sum, err := disk.HashFile(ctx, path, nil)
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return sum == sha256, nil
}

// blame tells a file of another bundle from a corrupt one.
func (b *Bundle) blame(path string, st Stage) error {
	if f, err := gguf.Open(path); err == nil {
		defer f.Close()
		if err := b.owns(f, st); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s is %w: its sha256 is not the manifest's: split the model again or copy the file anew", path, ErrCorrupt)
}

// owns checks the keys by which a slice says whose it is. An unsplit model that
// was not converted has none.
func (b *Bundle) owns(f *gguf.File, st Stage) error {
	role, ok := f.KV(gguf.KeyRole)
	if !ok && st.Role == Unsplit {
		return nil
	}
	source, _ := f.KV(gguf.KeySource)
	from, _ := f.KV(gguf.KeyFrom)
	to, _ := f.KV(gguf.KeyTo)
	r, _ := role.Text()
	s, _ := source.Text()
	x, okFrom := from.Uint32()
	y, okTo := to.Uint32()
	if s == b.Manifest.Source.SHA256 && r == string(st.Role) && okFrom && okTo && int(x) == st.From && int(y) == st.To {
		return nil
	}
	if r == "" {
		return fmt.Errorf("%s is %w: it is no slice: copy the bundle's own file there", f.Name, ErrForeign)
	}
	return fmt.Errorf("%s is %w: it is the %s slice [%d,%d) of source %.12s, the manifest wants %s [%d,%d) of %.12s: copy all files from one bundle",
		f.Name, ErrForeign, gguf.Short(r), x, y, gguf.Short(s), st.Role, st.From, st.To, b.Manifest.Source.SHA256)
}

// fits checks that the file can be loaded and has the shape the manifest says.
func (b *Bundle) fits(f *gguf.File, st Stage) error {
	m, err := checkContent(f, false)
	if err != nil {
		return err
	}
	vocab := b.Manifest.Vocab
	if st.Role == Board2 {
		vocab = DummyVocab
	}
	if m.Architecture != b.Manifest.Architecture || m.Blocks != st.To-st.From || m.Embedding != b.Manifest.Embedding || m.Vocab != vocab {
		return fmt.Errorf("%s is %w: its shape is not the manifest's: split the model again", f.Name, ErrForeign)
	}
	if st.From%m.Period != 0 {
		return fmt.Errorf("%s begins at block %d, and %s repeats every %d: split the model again", f.Name, st.From, m.Architecture, m.Period)
	}
	return nil
}
