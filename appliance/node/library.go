package node

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/offer"
	"skerry/appliance/bundle/split"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/library"
	"skerry/appliance/server"
	"skerry/appliance/status"
)

// shelf is the library of a loader, opened at its first use.
type shelf struct {
	sync.Mutex // guards all following
	library    *library.Library
}

// openLibrary is the library of the cache, with the configured bundle.
func (l *loader) openLibrary() (*library.Library, error) {
	l.models.Lock()
	defer l.models.Unlock()
	if l.models.library != nil {
		return l.models.library, nil
	}
	lib, err := library.Open(l.conf.Bundle)
	if err != nil {
		return nil, err
	}
	l.models.library = lib
	return lib, nil
}

// Models are the configured bundle and those in the cache, each under every name that is
// listed.
func (l *loader) Models() []infer.Model {
	lib, err := l.openLibrary()
	if err != nil {
		return nil
	}
	var out []infer.Model
	for _, m := range lib.List() {
		out = append(out, l.describe(m))
	}
	return out
}

// find is the model that a name means, under the name that its bundle is listed by: which finds
// it again, as the bundle's own does not where several have the same.
func (l *loader) find(name string) (infer.Model, error) {
	lib, err := l.openLibrary()
	if err != nil {
		return infer.Model{}, err
	}
	m, err := lib.Find(name)
	if err != nil {
		return infer.Model{}, ofLibrary(err)
	}
	if m.Copy {
		is := func(o library.Model) bool { return !o.Copy && o.Dir == m.Dir }
		all := lib.List()
		if i := slices.IndexFunc(all, is); i >= 0 {
			m = all[i]
		}
	}
	found := l.describe(m)
	mode, _ := l.modeOf(m.Dir, m.Manifest)
	found.Embeds = decode.SpecOf(mode).Stages == decode.WholeModel
	return found, nil
}

// describe is a model of the library for clients.
func (l *loader) describe(m library.Model) infer.Model {
	out := l.describeUnloaded(m.Dir, m.Manifest)
	out.Name, out.Licence = m.Name, cmp.Or(out.Licence, m.Licence)
	return out
}

// ofLibrary is an error of the library as clients have it.
func ofLibrary(err error) error {
	said := func(code infer.Code, param string) error { return infer.Errorf(code, param, "%s", status.OneLine(err)) }
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(*library.NameError)):
		return said(infer.NoModel, "model")
	case errors.Is(err, library.ErrNoBlob):
		return said(infer.NoModel, "files")
	case errors.Is(err, library.ErrName), errors.Is(err, library.ErrNotOwn), errors.Is(err, library.ErrDigest), errors.Is(err, library.ErrContent):
		return said(infer.BadRequest, "model")
	case errors.Is(err, library.ErrTaken), errors.Is(err, disk.ErrInUse), errors.Is(err, disk.ErrBusy):
		return said(infer.Conflict, "model")
	}
	return err
}

// NoDraft begins the name of a model that is to be fetched without the one that drafts for it.
const NoDraft = "no-draft:"

// Pull fetches a model into the library and prepares it, as library.Pull does; the default
// model where no name is given. What is behind offer.Prefix comes from the cloud.
func (l *loader) Pull(ctx context.Context, name string, progress func(infer.Progress)) error {
	step := stepOf(progress)
	for prefix, whole := range map[string]bool{offer.Prefix: false, offer.WholePrefix: true} {
		if of, ok := strings.CutPrefix(name, prefix); ok {
			return l.pullOf(ctx, of, whole, step, progress)
		}
	}
	if library.IsFile(name) {
		return infer.Errorf(infer.BadRequest, "model", "files of this board are not read for clients: upload the file (/api/blobs) and make a model of it (/api/create), as skerry model pull FILE.gguf does on the board")
	}
	p, err := l.pullNamed(ctx, name, step)
	if err != nil {
		return ofLibrary(err)
	}
	tellPulled(p, progress)
	return nil
}

// pullNamed has a model be in the library, by a name that may begin with NoDraft.
func (l *loader) pullNamed(ctx context.Context, name string, step func(string, int64, int64)) (library.Pulled, error) {
	lib, err := l.openLibrary()
	if err != nil {
		return library.Pulled{}, err
	}
	projector, name, err := library.Untold(name)
	if err != nil {
		return library.Pulled{}, infer.Errorf(infer.BadRequest, "model", "%s", err)
	}
	ref, noDraft := strings.CutPrefix(name, NoDraft)
	p, err := lib.Pull(ctx, ref, library.PullOptions{NoDraft: noDraft, Projector: projector, Room: l.memoryRoom(), Progress: step})
	if err == nil && p.NoProjector != "" {
		l.log.Info("a model is fetched without its projector", "model", p.Name, "why", p.NoProjector)
	}
	if err == nil && p.NoDraft != "" {
		l.log.Info("a model is fetched without its draft", "model", p.Name, "why", p.NoDraft)
	}
	return p, err
}

// memoryRoom is the memory that a model may have, in bytes; 0: not known.
func (l *loader) memoryRoom() int64 {
	memory, _ := MachineMemory(l.root) // what is not known of it is left out
	room, _ := memory.Room()
	return room.Bytes
}

func stepOf(progress func(infer.Progress)) func(string, int64, int64) {
	return func(what string, done, total int64) { progress(infer.Progress{What: what, Done: done, Total: total}) }
}

// tellPulled says what came of a pull, where its bundle lies at the end.
func tellPulled(p library.Pulled, progress func(infer.Progress)) {
	if p.NoDraft != "" {
		progress(infer.Progress{What: "without a draft: " + p.NoDraft})
	}
	if p.NoProjector != "" {
		progress(infer.Progress{What: "without images: " + p.NoProjector})
	}
	progress(infer.Progress{What: admin.PulledTo + p.Dir})
}

// pullOf fetches a bundle of the cloud and says where it lies.
func (l *loader) pullOf(ctx context.Context, name string, whole bool, step func(string, int64, int64), progress func(infer.Progress)) error {
	if l.pullCloud == nil {
		return infer.Errorf(infer.NoModel, "model", "this board asks no cloud: nothing can be fetched from one (skerry enroll CODE, and a mode that asks)")
	}
	dir, err := l.pullCloud(ctx, name, whole, step)
	if err != nil {
		return err
	}
	progress(infer.Progress{What: admin.PulledTo + dir})
	return nil
}

// models are the library for clients, over the daemon's core, which has some loaded.
type models struct {
	loader *loader
	core   *server.Core
	// unload is how long a model that is to be removed may take to be unloaded.
	unload time.Duration
}

var _ infer.Library = (*models)(nil)

// unloadTime is how long a removal waits for the answers under way of its model.
const unloadTime = 20 * time.Second

// Delete removes a model, and unloads it first. One that is still being answered is a
// Conflict.
func (m *models) Delete(ctx context.Context, name string) error {
	lib, err := m.loader.openLibrary()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, m.unload)
	defer cancel()
	_, err = lib.Remove(ctx, name)
	if !errors.Is(err, disk.ErrInUse) || !m.loaded(name) {
		return ofLibrary(err)
	}
	if err := m.core.Load(ctx, name, 0); err != nil {
		return err
	}
	again := time.NewTicker(unloadPoll)
	defer again.Stop()
	for errors.Is(err, disk.ErrInUse) {
		select {
		case <-again.C:
			_, err = lib.Remove(ctx, name)
		case <-ctx.Done():
			return ofLibrary(err)
		}
	}
	return ofLibrary(err)
}

// unloadPoll is how often a removal looks whether its model is unloaded.
const unloadPoll = 50 * time.Millisecond

// loaded says whether the core has a model loaded.
func (m *models) loaded(name string) bool {
	of, err := m.loader.find(name)
	if err != nil {
		return false
	}
	for _, one := range m.core.Models() {
		if one.Loaded && one.Digest == of.Digest {
			return true
		}
	}
	return false
}

// Copy gives a model a further name.
func (m *models) Copy(ctx context.Context, from, to string) error {
	lib, err := m.loader.openLibrary()
	if err != nil {
		return err
	}
	return ofLibrary(lib.Copy(ctx, from, to))
}

// Create makes a model of another or of an uploaded file.
func (m *models) Create(ctx context.Context, c infer.Creation, progress func(infer.Progress)) error {
	lib, err := m.loader.openLibrary()
	if err != nil {
		return err
	}
	types := map[string]string{"": "", "q4_0": split.TypeQ4_0, "q8_0": split.TypeQ8_0}
	as, ok := types[strings.ToLower(c.Quantize)]
	if !ok {
		return infer.Errorf(infer.BadRequest, "quantize", "quantize is %.40q: give q4_0 or q8_0, or leave it out", c.Quantize)
	}
	o := library.CreateOptions{Name: c.Name, From: c.From, Digest: c.Digest, File: c.File}
	o.Type, o.Room, o.Progress, o.NoDraft, o.Projector = as, m.loader.memoryRoom(), stepOf(progress), c.NoDraft, c.Projector
	p, err := lib.Create(ctx, o)
	if err != nil {
		return ofLibrary(err)
	}
	tellPulled(p, progress)
	return nil
}

// HasBlob says whether a file need not be uploaded.
func (m *models) HasBlob(digest string) (bool, error) {
	lib, err := m.loader.openLibrary()
	if err != nil {
		return false, err
	}
	has, err := lib.HasBlob(digest)
	return has, ofLibrary(err)
}

// PutBlob takes in an uploaded file.
func (m *models) PutBlob(ctx context.Context, digest string, size int64, r io.Reader) error {
	lib, err := m.loader.openLibrary()
	if err != nil {
		return err
	}
	return ofLibrary(lib.PutBlob(ctx, digest, size, r))
}
