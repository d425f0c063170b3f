package split

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"
)

// splitter writes the files of one bundle into its directory.
type splitter struct {
	slicer
	opt Options
	src string
	dir string
	// draft is nil where the bundle has none.
	draft *draftSource
	// projector is nil where it has none.
	projector *projectorSource

	done, total int64 // bytes written of all files
}

func (s *splitter) run(ctx context.Context) (*bundle.Manifest, error) {
	before, err := os.Stat(s.src)
	if err != nil {
		return nil, err
	}
	if s.sha, err = disk.HashReader(ctx, io.NewSectionReader(s.f, 0, s.f.Size), func(done int64) {
		s.progress("hash the source", done, s.f.Size)
	}); err != nil {
		return nil, err
	}
	if s.converts() && s.q == nil {
		return nil, fmt.Errorf("%s: its weights have to be converted for type %s, and nothing here can: split it with `skerry model split --type keep`", s.src, s.want)
	}
	man := s.manifest()
	if err := s.write(ctx, man); err != nil {
		return nil, err
	}
	after, err := os.Stat(s.src)
	if err != nil {
		return nil, err
	}
	if after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return nil, fmt.Errorf("%s: it changed while it was read: split it again", s.src)
	}
	if err := s.finish(ctx, man); err != nil {
		return nil, err
	}
	return man, nil
}

func (s *splitter) manifest() *bundle.Manifest {
	file := filepath.Base(s.src)
	man := &bundle.Manifest{
		Format:       bundle.Format,
		Name:         cmp.Or(s.opt.Name, strings.TrimSuffix(file, ".gguf")),
		Source:       bundle.Source{File: file, SHA256: s.sha, Bytes: s.f.Size, Tensors: bundle.TensorTypes(s.f)},
		Architecture: s.m.Architecture, Blocks: s.m.Blocks, Exits: s.opt.Exits,
		Embedding: s.m.Embedding, Vocab: s.m.Vocab, ContextLength: s.m.ContextLength,
		Type: s.opt.Type, Tensors: histogram(s.f, s.opt.Type),
		Stages: bundle.StagesOf(s.opt.Exits, s.m.Blocks),
	}
	for _, e := range s.opt.Exits {
		man.Heads = append(man.Heads, bundle.Head{Exit: e, Kind: bundle.HeadModel})
	}
	for i := range man.Stages {
		man.Stages[i].File = man.Stages[i].Role.File()
	}
	return man
}

// write makes the stage files and fills in their sha256 and bytes.
func (s *splitter) write(ctx context.Context, man *bundle.Manifest) error {
	plans := make([]*gguf.Layout, len(man.Stages))
	// A converted model says of which source it is, and that is another one here.
	_, says := s.f.KV(gguf.KeySource)
	link := !s.converts() && !s.pins() && !says
	var need int64
	for i, st := range man.Stages {
		if st.Role == bundle.Unsplit && link {
			if !sameDevice(s.src, s.dir) {
				need += s.f.Size
			}
			continue
		}
		var err error
		if plans[i], err = s.plan(st); err != nil {
			return err
		}
		s.total += plans[i].Size()
	}
	if s.draft != nil && !sameDevice(s.draft.path, s.dir) {
		need += s.draft.f.Size
	}
	if s.projector != nil && !sameDevice(s.projector.path, s.dir) {
		need += s.projector.f.Size
	}
	if err := disk.CheckSpace(s.dir, need+s.total); err != nil {
		return err
	}
	for i := range man.Stages {
		st := &man.Stages[i]
		var err error
		path := filepath.Join(s.dir, st.File)
		if plans[i] == nil {
			st.SHA256, st.Bytes, err = s.sha, s.f.Size, disk.Clone(ctx, s.src, path)
		} else {
			st.SHA256, st.Bytes, err = s.writeStage(ctx, path, plans[i])
		}
		if err != nil {
			return err
		}
		if st.Role == bundle.Unsplit {
			man.WholeBytes = st.Bytes
		}
	}
	if s.draft != nil {
		man.Format, man.Draft = bundle.FormatDraft, s.draft.entry
		if err := s.draft.place(ctx, s.dir, func(done int64) { s.progress("hash the draft", done, s.draft.f.Size) }); err != nil {
			return err
		}
	}
	if s.projector == nil {
		return nil
	}
	man.Format, man.Projector = bundle.FormatProjector, s.projector.entry
	return s.projector.place(ctx, s.dir, func(done int64) { s.progress("hash the projector", done, s.projector.f.Size) })
}

func (s *splitter) writeStage(ctx context.Context, path string, l *gguf.Layout) (string, int64, error) {
	return disk.WriteFile(ctx, path, func(w io.Writer) error {
		var n int64
		err := l.Write(ctx, disk.Metered(ctx, w, func(done int64) {
			n = done
			s.progress("write the stages", s.done+done, s.total)
		}))
		s.done += n
		return err
	})
}

// finish runs the parity check and writes the manifest. The check finds a
// complete bundle, with the unsplit model to compare with.
func (s *splitter) finish(ctx context.Context, man *bundle.Manifest) error {
	if s.opt.Parity != nil {
		if err := man.Write(s.dir); err != nil {
			return err
		}
		s.progress("check parity", 0, 1)
		p, err := s.opt.Parity(ctx, s.dir, man)
		if err == nil && (p.Positions < 1 || p.EqualTokens != p.Positions || math.IsNaN(p.MaxAbsDiff)) {
			err = fmt.Errorf("%w: %d of %d tokens equal, logits differ by up to %g: try other exits or --type keep", ErrParity, p.EqualTokens, p.Positions, p.MaxAbsDiff)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.src, err)
		}
		man.Parity = &p
		s.progress("check parity", 1, 1)
	}
	if s.opt.NoUnsplit {
		man.Stages = man.Stages[:len(man.Stages)-1]
		if err := os.Remove(filepath.Join(s.dir, bundle.Unsplit.File())); err != nil {
			return err
		}
	}
	return man.Write(s.dir)
}

func (s *splitter) progress(step string, done, total int64) {
	if s.opt.Progress != nil {
		s.opt.Progress(step, done, total)
	}
}

func sameDevice(a, b string) bool {
	var x, y unix.Stat_t
	return unix.Stat(a, &x) == nil && unix.Stat(b, &y) == nil && x.Dev == y.Dev
}
