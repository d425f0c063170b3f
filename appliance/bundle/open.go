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

	"skerry/appliance/bundle/gguf"
)

// Errors of Open and Verify.
var (
	ErrMissing = errors.New("missing from the bundle")
	ErrCorrupt = errors.New("corrupt")
	ErrForeign = errors.New("of another bundle")
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
// board: size, sha256, and that each is what it should be. The other files may be corrupt or absent. Errors wrap
// ErrManifest, ErrMissing, ErrCorrupt, ErrForeign or the context's error.
func Open(ctx context.Context, dir string, roles ...Role) (*Bundle, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	b := &Bundle{dir, m}
	var stages []Stage
	for _, r := range roles {
		st, ok := m.Stage(r)
		if !ok {
			return nil, fmt.Errorf("%s: stage %s is %w: split the model again to have it", dir, r, ErrMissing)
		}
		stages = append(stages, st)
	}
	if len(roles) == 0 {
		stages = m.Stages
	}
	return b, b.verify(ctx, stages)
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
	return b.verify(ctx, stages)
}

func (b *Bundle) verify(ctx context.Context, stages []Stage) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for _, st := range stages {
		g.Go(func() error { return b.verifyStage(ctx, st) })
		if i := slices.Index([]Role{Board1, Board2}, st.Role); i >= 0 {
			g.Go(func() error {
				_, err := b.FittedHead(ctx, b.Manifest.Exits[i])
				return err
			})
		}
	}
	return g.Wait()
}

func (b *Bundle) verifyStage(ctx context.Context, st Stage) error {
	path := b.Path(st.Role)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is %w: copy it there or split the model again", path, ErrMissing)
	}
	if err != nil {
		return err
	}
	sum := ""
	if info.Mode().IsRegular() && info.Size() == st.Bytes {
		if sum, err = hashFile(ctx, path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if sum != st.SHA256 {
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
	role, ok := f.KV(keyRole)
	if !ok && st.Role == Unsplit {
		return nil
	}
	source, _ := f.KV(keySource)
	from, _ := f.KV(keyFrom)
	to, _ := f.KV(keyTo)
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
		f.Name, ErrForeign, short(r), x, y, short(s), st.Role, st.From, st.To, b.Manifest.Source.SHA256)
}

// fits checks that the file can be loaded and has the shape the manifest says.
func (b *Bundle) fits(f *gguf.File, st Stage) error {
	m, err := checkContent(f)
	if err != nil {
		return err
	}
	vocab := b.Manifest.Vocab
	if st.Role == Board2 {
		vocab = dummyVocab
	}
	if m.Architecture != b.Manifest.Architecture || m.Blocks != st.To-st.From || m.Embedding != b.Manifest.Embedding || m.Vocab != vocab {
		return fmt.Errorf("%s is %w: its shape is not the manifest's: split the model again", f.Name, ErrForeign)
	}
	if st.From%m.Period != 0 {
		return fmt.Errorf("%s begins at block %d, and %s repeats every %d: split the model again", f.Name, st.From, m.Architecture, m.Period)
	}
	return nil
}
