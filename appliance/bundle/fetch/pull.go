package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
)

// Origin is whoever has the files of one bundle, as a cloud that serves it.
type Origin interface {
	// Get calls take with the pieces of a file in order, from the byte from on, and
	// returns once the file, which may have most bytes, is whole. An error of take
	// ends it and is returned.
	Get(ctx context.Context, file string, from, most int64, take func(piece []byte) error) error
}

// PullOptions say what of a bundle is wanted.
type PullOptions struct {
	// Whole fetches the whole model too, with which a board answers alone, and what
	// follows after exit 1, with which it goes on when its cloud is lost.
	Whole bool
	// Afford is asked before anything large is fetched whether so many bytes may
	// be; its error ends the pull. May be nil.
	Afford func(bytes int64) error
	// Progress is called with what is being done and bytes of how many. May be nil.
	Progress func(step string, done, total int64)
}

// Pull makes the bundle of that id in dir of what a board needs of it: the
// manifest, the board's stages, the exit heads, and the draft if there is one. What a pull
// that broke off has left beside dir is gone on with, and files of a bundle that is there
// already are taken over. Every file is checked against the manifest and that against id
// before dir is there. A bundle of the same id that is there already, and whole, stays. A
// draft that comes damaged is left out, as its step says, and the next pull tries it again.
// Errors wrap ErrManifest, ErrForeign, ErrChecksum, ErrBusy, syscall.ENOSPC, or are of the
// origin or the context.
func Pull(ctx context.Context, id [32]byte, dir string, from Origin, opt PullOptions) (*bundle.Bundle, error) {
	dst, err := disk.Resolve(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return nil, disk.WriteError(filepath.Dir(dst), err)
	}
	release, err := disk.Lock(dst)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := disk.Replaceable(dst, bundle.ManifestFile); err != nil {
		return nil, err
	}
	p := &pull{ctx: ctx, origin: from, opt: opt, dst: dst, taken: map[string]bool{}, dir: filepath.Join(filepath.Dir(dst), "."+filepath.Base(dst)+".pull")}
	if err := p.manifest(id); err != nil {
		return nil, err
	}
	if b, err := bundle.Open(ctx, dst, p.roles()...); err == nil && b.Manifest.ID() == id && sameDraft(b.Manifest, p.man) {
		os.RemoveAll(p.dir)
		return b, nil
	}
	return p.run()
}

// sameDraft reports whether two bundles have one draft, or none.
func sameDraft(a, b *bundle.Manifest) bool {
	if a.Draft == nil || b.Draft == nil {
		return a.Draft == b.Draft
	}
	return a.Draft.SHA256 == b.Draft.SHA256
}

// pull is a bundle that is on its way.
type pull struct {
	ctx    context.Context
	origin Origin
	opt    PullOptions
	dst    string
	dir    string // where it grows
	man    *bundle.Manifest
	text   []byte          // of the manifest
	taken  map[string]bool // files of the bundle that is there, checked
	done   int64           // bytes of all files that are here
	total  int64
}

// manifest fetches the manifest, which is small, anew every time: the heads in it
// may have been fitted since.
func (p *pull) manifest(id [32]byte) error {
	p.step("manifest", 0, 0)
	err := p.origin.Get(p.ctx, bundle.ManifestFile, 0, bundle.MaxManifest, func(piece []byte) error {
		if len(p.text)+len(piece) > bundle.MaxManifest {
			return fmt.Errorf("%w: it is larger than %d bytes", bundle.ErrManifest, bundle.MaxManifest)
		}
		p.text = append(p.text, piece...)
		return nil
	})
	if err != nil {
		return err
	}
	if p.man, err = bundle.ParseManifest(p.text); err != nil {
		return fmt.Errorf("of the bundle to be fetched: %w", err)
	}
	if p.man.ID() != id {
		return fmt.Errorf("the manifest that came is %w: try again, and look at the cloud if it stays so", bundle.ErrForeign)
	}
	return nil
}

// wanted is one file to be had.
type wanted struct {
	name   string
	sha256 string
	bytes  int64
}

func (p *pull) roles() []bundle.Role {
	roles := []bundle.Role{bundle.Board1, bundle.Board2}[:len(p.man.Exits)]
	if p.opt.Whole {
		roles = append(roles, bundle.Cloud, bundle.Unsplit)
	}
	if p.man.Draft != nil {
		roles = append(roles, bundle.DraftModel)
	}
	return roles
}

// files are those to be had, the draft last: the bundle can do without it.
func (p *pull) files() (files []wanted, err error) {
	for _, r := range p.roles() {
		if r == bundle.DraftModel {
			continue
		}
		s, ok := p.man.Stage(r)
		if !ok {
			return nil, fmt.Errorf("the file %s is %w", r.File(), bundle.ErrMissing)
		}
		files = append(files, wanted{s.File, s.SHA256, s.Bytes})
	}
	for _, h := range p.man.Heads {
		if h.Kind == bundle.HeadFitted {
			files = append(files, wanted{h.File, h.SHA256, h.Bytes})
		}
	}
	if d := p.man.Draft; d != nil {
		files = append(files, wanted{d.File, d.SHA256, d.Bytes})
	}
	return files, nil
}

func (p *pull) run() (*bundle.Bundle, error) {
	files, err := p.files()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, disk.WriteError(p.dir, err)
	}
	p.discard(files)
	if err := p.takeOver(files); err != nil {
		return nil, disk.WriteError(p.dir, err)
	}
	for _, f := range files {
		if f.bytes < 0 || p.total+f.bytes < p.total {
			return nil, fmt.Errorf("%w: its files have impossible sizes", bundle.ErrManifest)
		}
		p.total += f.bytes
		p.done += min(fileSize(filepath.Join(p.dir, f.name)), f.bytes)
	}
	if err := p.afford(); err != nil {
		return nil, err
	}
	for _, f := range files {
		err := p.file(f)
		if d := p.man.Draft; d != nil && f.name == d.File && errors.Is(err, ErrChecksum) {
			err = p.leaveOutDraft(err)
		}
		if err != nil {
			return nil, disk.WriteError(p.dir, err)
		}
	}
	return p.place()
}

// afford asks whether what is missing has room on the disk and may be fetched.
func (p *pull) afford() error {
	if err := disk.CheckSpace(p.dir, p.total-p.done); err != nil || p.opt.Afford == nil {
		return err
	}
	return p.opt.Afford(p.total - p.done)
}

// takeOver takes what is wanted of the bundle that is there, as where only its draft is
// another.
func (p *pull) takeOver(files []wanted) error {
	for _, f := range files {
		old, path := filepath.Join(p.dst, f.name), filepath.Join(p.dir, f.name)
		st, err := os.Lstat(old)
		if err != nil || !st.Mode().IsRegular() || st.Size() != f.bytes || fileSize(path) == f.bytes {
			continue
		}
		p.step("check "+f.name, 0, 0)
		sum, err := disk.HashFile(p.ctx, old, nil)
		if p.ctx.Err() != nil {
			return p.ctx.Err()
		}
		if err != nil || sum != f.sha256 {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		if err := disk.Clone(p.ctx, old, path); err != nil {
			return err
		}
		p.taken[f.name] = true
	}
	return nil
}

// leaveOutDraft has the bundle be one without a draft, and says why.
func (p *pull) leaveOutDraft(why error) error {
	p.step(fmt.Sprintf("going on without the draft: %v", why), 0, 0)
	without, err := bundle.ParseManifest(p.text)
	if err != nil {
		return err
	}
	os.Remove(filepath.Join(p.dir, p.man.Draft.File))
	without.Format, without.Draft = bundle.Format, nil
	p.man = without
	p.text, err = json.MarshalIndent(without, "", "  ")
	return err
}

// discard removes what an earlier pull has left of another state of the bundle.
func (p *pull) discard(files []wanted) {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		keep := false
		for _, f := range files {
			keep = keep || f.name == e.Name() && e.Type().IsRegular()
		}
		if !keep {
			os.RemoveAll(filepath.Join(p.dir, e.Name()))
		}
	}
}

// file fetches what is missing of a file and checks it. One that was gone on with may have
// begun as another's of the same name, as a draft that has been replaced in the cloud since:
// it is fetched once more.
func (p *pull) file(f wanted) error {
	if p.taken[f.name] {
		return nil
	}
	path := filepath.Join(p.dir, f.name)
	have := fileSize(path)
	others := p.done - min(have, f.bytes)
	if have > f.bytes {
		if err := os.Remove(path); err != nil {
			return err
		}
		have, p.done = 0, others
	}
	err := p.fetch(f, path, have)
	if have == 0 || !errors.Is(err, ErrChecksum) {
		return err
	}
	os.Remove(path)
	p.done = others
	if err := p.afford(); err != nil {
		return err
	}
	return p.fetch(f, path, 0)
}

// fetch fetches a file from the byte have on, which follows those that are there, and
// checks it. What turns out to be wrong is removed.
func (p *pull) fetch(f wanted, path string, have int64) (err error) {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	if have < f.bytes {
		err = p.origin.Get(p.ctx, f.name, have, f.bytes, func(piece []byte) error {
			if have+int64(len(piece)) > f.bytes {
				return fmt.Errorf("%s: %w: more came than its %d bytes", f.name, ErrChecksum, f.bytes)
			}
			n, err := out.Write(piece)
			have += int64(n)
			p.done += int64(n)
			p.step("download", p.done, p.total)
			return err
		})
	}
	if err := errors.Join(err, out.Sync()); err != nil {
		return err
	}
	p.step("check "+f.name, p.done, p.total)
	sum, err := disk.HashFile(p.ctx, path, nil)
	if err != nil {
		return err
	}
	if sum != f.sha256 {
		os.Remove(path)
		return fmt.Errorf("%s: %w: what came is not what the manifest says: its copy in the cloud is damaged, have it split anew there", f.name, ErrChecksum)
	}
	return nil
}

// place puts the bundle where it belongs, once all of it is here.
func (p *pull) place() (*bundle.Bundle, error) {
	_, err := p.open()
	if errors.Is(err, bundle.ErrDraft) {
		if err = p.leaveOutDraft(err); err == nil {
			_, err = p.open()
		}
	}
	if err != nil {
		return nil, err
	}
	if err := disk.PlaceDir(p.dir, p.dst); err != nil {
		return nil, disk.WriteError(p.dir, err)
	}
	return &bundle.Bundle{Dir: p.dst, Manifest: p.man}, nil
}

// open writes the manifest beside the files and checks the bundle that they make.
func (p *pull) open() (*bundle.Bundle, error) {
	err := disk.PlaceFile(p.dir, bundle.ManifestFile, func(f *os.File) error {
		_, err := f.Write(p.text)
		return err
	})
	if err != nil {
		return nil, err
	}
	return bundle.Open(p.ctx, p.dir, p.roles()...)
}

func (p *pull) step(what string, done, total int64) {
	if p.opt.Progress != nil {
		p.opt.Progress(what, done, total)
	}
}

// DirName is a name for the directory of a bundle: its own, as far as a file may
// be called so, and the beginning of its id.
func DirName(name string, id [32]byte) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '-'
	}, name)
	if name = strings.TrimLeft(name[:min(len(name), 64)], ".-"); name == "" {
		name = "bundle"
	}
	return fmt.Sprintf("%s-%x", name, id[:6])
}
