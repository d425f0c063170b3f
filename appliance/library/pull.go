package library

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/plan"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/bundle/split"
	"skerry/appliance/status"
)

// PullOptions of Pull. The zero value is ready for use.
type PullOptions struct {
	// NoDraft leaves out the model that would draft for this one.
	NoDraft bool
	// Projector is what the model reads images by: a file, a reference to a file of a hub, the
	// digest of an uploaded one, or NoProjector; "": the one that lies beside the model in its
	// repository, where there is one that can be used.
	Projector string
	// Room is the memory that a model may have here, in bytes; 0: not known.
	Room int64
	// Name has the bundle be called so; "": as its file, or as it is known.
	Name string
	// Type is that of split.Options.
	Type string
	// Fetch says where models come from; Progress is not looked at.
	Fetch fetch.Options
	// Progress is told how far the work is. May be nil.
	Progress prepare.Step
}

// Pulled is what came of a pull.
type Pulled struct {
	Model
	// Had says that the model was here already.
	Had bool
	// NoDraft is why the draft that there is for it is not used, "" where it is or where
	// there is none.
	NoDraft string
	// NoProjector is why the projector that lies beside it is not used, likewise.
	NoProjector string
}

// source is a model before it is a bundle.
type source struct {
	ref, sha256   string // ref "": it is a file
	path          string // of the file, "" before it is fetched
	name, licence string
	bytes         int64  // 0: not known
	projector     string // a reference to the one beside it, "" for none
}

// Pull has the model that ref means be in the library: one that is known by name, a file or
// a repository of a hub, as package fetch takes them, or a GGUF by its path. It is fetched,
// with its draft where one is known and memory has room for it, and split; what is here
// already is not fetched again. Afterwards ref is one of its names. What breaks off is gone on with by the
// same call. Errors are those of fetch.Model and split.Model, or a *NameError.
func (l *Library) Pull(ctx context.Context, ref string, o PullOptions) (Pulled, error) {
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	o.Fetch.Progress = o.Progress
	s, err := l.source(ctx, ref, o)
	if errors.As(err, new(*NameError)) { // there may be one that nobody knows where to fetch
		if m, here := l.Find(ref); here == nil {
			return Pulled{Model: m, Had: true}, nil
		}
	}
	if err != nil {
		return Pulled{}, err
	}
	if m, ok := l.made(s.sha256, o.Name, o.Type); ok {
		return l.had(ctx, m, ref, s, o)
	}
	return l.make(ctx, ref, s, o)
}

// source finds out what a reference means, and asks a hub where it is one's.
func (l *Library) source(ctx context.Context, ref string, o PullOptions) (source, error) {
	if isFile(ref) {
		return fileSource(ctx, ref, o.Progress)
	}
	if ref == "" {
		ref = fetch.DefaultName
	}
	if _, ok := fetch.Known(ref); !ok && !fetch.IsHub(ref) {
		return source{}, notFound(l.List(), ref)
	}
	o.Progress("look for "+ref, 0, 0)
	f, err := fetch.Find(ctx, ref, o.Fetch)
	return source{ref: f.Ref, sha256: f.SHA256, name: f.Name, licence: f.Licence, bytes: f.Bytes, projector: f.Projector}, err
}

// isFile says whether a reference is a path and not a name: it says where the file is, or
// that it is one.
func isFile(ref string) bool {
	if fetch.IsHub(ref) {
		return false
	}
	return filepath.IsAbs(ref) || strings.HasPrefix(ref, "."+string(filepath.Separator)) || strings.HasPrefix(ref, "..") ||
		strings.HasSuffix(strings.ToLower(ref), ".gguf") || bundle.IsGGUF(ref)
}

func fileSource(ctx context.Context, path string, step prepare.Step) (s source, err error) {
	if s.path, err = fetch.FromFile(path); err != nil {
		return s, err
	}
	st, err := os.Stat(s.path)
	if err != nil {
		return s, err
	}
	s.bytes, s.name = st.Size(), strings.TrimSuffix(filepath.Base(s.path), filepath.Ext(s.path))
	s.sha256, err = disk.HashFile(ctx, s.path, func(done int64) { step("hash the model", done, st.Size()) })
	return s, err
}

// made is the model that was made of a file of that sha256; with a name the one of that
// name, with a type (of split.Options) one of that. What a cloud gave is none: not all of it
// need be here.
func (l *Library) made(sha256, name, as string) (Model, bool) {
	for _, m := range l.List() {
		if m.Copy || m.Manifest.Source.SHA256 != sha256 || name != "" && Canonical(m.Own) != Canonical(name) || as != "" && m.Manifest.Type != as {
			continue
		}
		if _, err := os.Stat(filepath.Join(m.Dir, bundle.Board1.File())); err == nil && m.wholeHere() {
			return m, true
		}
	}
	return Model{}, false
}

// wholeHere says whether a board can answer alone with the bundle.
func (m *Model) wholeHere() bool {
	_, err := os.Stat(filepath.Join(m.Dir, bundle.Unsplit.File()))
	return err == nil
}

// had notes that a model which is here was asked for.
func (l *Library) had(ctx context.Context, m Model, ref string, s source, o PullOptions) (Pulled, error) {
	p := Pulled{Model: m, Had: true}
	if draft := l.draftFor(s.sha256); draft != "" && m.Manifest.Draft == nil && !o.NoDraft {
		p.NoDraft = fmt.Sprintf("it was split without %s: skerry model rm %s, and fetch it again, has it", draft, m.Name)
	}
	if m.Manifest.Projector == nil && (s.projector != "" && o.Projector == "" || o.Projector != "" && o.Projector != NoProjector) {
		if p.NoProjector = p.withoutProjector(); o.Projector != "" {
			return p, fmt.Errorf("%s is here already, and %s", m.Name, p.NoProjector)
		}
	}
	if has := m.Manifest.Projector; has != nil && o.Projector != "" {
		if same, err := l.isProjector(ctx, has, o); err != nil || !same {
			return p, cmp.Or(err, fmt.Errorf("%s is here already, with the projector %s: skerry model rm %[1]s, and fetch it again, has another, or none", m.Name, has.Source))
		}
	}
	return l.remember(ctx, p, ref, s)
}

// remember writes down by which name a bundle was fetched, and where it came from.
func (l *Library) remember(ctx context.Context, p Pulled, ref string, s source) (Pulled, error) {
	release, err := l.lock(ctx)
	if err != nil {
		return p, err
	}
	defer release()
	r := l.records()[p.ID]
	r.Bundle = p.ID
	was := len(r.Asked)
	for _, name := range []string{ref, s.ref} {
		if bare, _, _ := strings.Cut(name, "@"); bare != "" && !isFile(bare) && !slices.Contains(r.Asked, Canonical(bare)) && len(r.Asked) < maxNames {
			r.Asked = append(r.Asked, Canonical(bare))
		}
	}
	if r.Origin == "" {
		r.Origin, r.Added = ref, time.Now().UTC().Truncate(time.Second)
	}
	if r.Licence == "" {
		r.Licence = s.licence
	}
	p.Origin, p.Licence, p.asked = r.Origin, r.Licence, r.Asked
	if was == len(r.Asked) && p.Had {
		return p, nil
	}
	return p, l.keep(r)
}

// make fetches and splits what is not here yet.
func (l *Library) make(ctx context.Context, ref string, s source, o PullOptions) (p Pulled, err error) {
	// Until the bundle is there, nothing else says that the fetched files are needed.
	var held []func()
	release := func() {
		for _, f := range held {
			f()
		}
		held = nil
	}
	defer release()
	hold := func(sum string) error {
		f, err := disk.WaitUse(ctx, l.fetched(sum))
		if err == nil {
			held = append(held, f)
		}
		return err
	}
	fetched := s.path == ""
	if fetched || filepath.Dir(s.path) == l.fetched(s.sha256) {
		if err := hold(s.sha256); err != nil {
			return p, err
		}
	}
	if fetched {
		of := o.Fetch
		of.Progress = prefixed("fetch "+s.name+": ", o.Progress)
		if s.path, err = fetch.Model(ctx, s.ref, of); err != nil {
			return p, err
		}
	}
	planned, err := plan.ReadModel(s.path)
	if err != nil {
		if fetched && errors.Is(err, bundle.ErrUnsupported) {
			release()
			l.dropFetched(s.sha256) // which nothing here could use
		}
		return p, err
	}
	if s.licence == "" {
		s.licence = licenceOf(s.path)
	}
	if s.licence != "" {
		o.Progress("licence of "+s.name+": "+s.licence, 0, 0)
	}
	so := split.Options{Name: l.nameFor(s, o.Name), Type: o.Type, Exits: planned.Exits}
	if so.Draft, so.DraftName, p.NoDraft, err = l.draft(ctx, s, o, hold); err != nil {
		return p, err
	}
	var unused string
	if so.Projector, p.NoProjector, unused, err = l.projector(ctx, s, planned.Embedding, o, hold); unused != "" {
		defer func() {
			release()
			l.dropFetched(unused)
		}()
	}
	if err != nil {
		return p, err
	}
	if s.ref == fetch.DefaultName && o.Name == "" && o.Type == "" && so.Projector == "" {
		p.Dir, err = prepare.Default(ctx, o.Progress, prefixed("split: ", o.Progress))
	} else {
		p.Dir, err = l.split(ctx, s, so, prefixed("split: ", o.Progress))
	}
	if err != nil {
		return p, err
	}
	if p.Model, err = read(p.Dir, true); err != nil {
		return p, err
	}
	return l.remember(ctx, p, ref, s)
}

// prefixed has steps begin with some words.
func prefixed(words string, step prepare.Step) prepare.Step {
	return func(what string, done, total int64) { step(words+what, done, total) }
}

// split makes the bundle, alone among all processes; who comes second finds it.
func (l *Library) split(ctx context.Context, s source, o split.Options, step prepare.Step) (string, error) {
	if err := os.MkdirAll(l.bundles(), 0o755); err != nil {
		return "", disk.WriteError(l.bundles(), err)
	}
	called := o.Name
	if o.Type != "" {
		called += "-" + o.Type
	}
	dir := prepare.Dir(l.cache, called, s.sha256)
	lock, err := disk.WaitLock(ctx, filepath.Join(l.bundles(), "."+filepath.Base(dir)+".pull"), func() { step("wait for another process", 0, 0) })
	if err != nil {
		return "", disk.WriteError(l.bundles(), err)
	}
	defer lock.Release()
	if _, err := os.Stat(filepath.Join(dir, bundle.ManifestFile)); err == nil {
		return dir, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if _, err := prepare.Split(ctx, s.path, dir, o, step); err != nil {
		return "", err
	}
	if err := prepare.TakeHeads(ctx, dir); err != nil && ctx.Err() != nil {
		return "", ctx.Err()
	}
	return dir, nil
}

// nameFor is what a bundle is called: as it is asked for, else as its file, with the
// beginning of the file's sha256 where another model has that name.
func (l *Library) nameFor(s source, name string) string {
	if name != "" {
		return name
	}
	name = NameOf(s.name + ".gguf")
	for _, m := range l.List() {
		if Canonical(m.Name) == Canonical(name) || Canonical(m.Own) == Canonical(name) {
			return name + "-" + s.sha256[:6]
		}
	}
	return name
}

// draft fetches the model that drafts for one, where there is one and memory has room for
// both. A draft that cannot be had is left out, and why is said. hold keeps the file of that
// sha256 from being removed.
func (l *Library) draft(ctx context.Context, s source, o PullOptions, hold func(sum string) error) (path, name, why string, err error) {
	ref := l.draftFor(s.sha256)
	if ref == "" || o.NoDraft {
		return "", "", "", nil
	}
	of := o.Fetch
	of.Progress = prefixed("fetch "+ref+", its draft: ", o.Progress)
	f, err := fetch.Find(ctx, ref, of)
	if needs := plan.Needs(s.bytes + f.Bytes); err == nil && o.Room > 0 && needs > o.Room {
		return "", "", fmt.Sprintf("with %s it would take %s of memory, and there are %s", f.Name, status.Bytes(needs), status.Bytes(o.Room)), nil
	}
	if err == nil {
		err = hold(f.SHA256)
	}
	if err == nil {
		path, err = fetch.Model(ctx, f.Ref, of)
	}
	switch {
	case ctx.Err() != nil:
		return "", "", "", ctx.Err()
	case err != nil:
		return "", "", fmt.Sprintf("%s, its draft, cannot be had: %s", ref, status.OneLine(err)), nil
	}
	return path, f.Name, "", nil
}

// licenceOf a GGUF, as it says itself.
func licenceOf(path string) string {
	f, err := gguf.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	return oneLine(text(f, "general.license"))
}

// oneLine is a text of a file as a list shows it.
func oneLine(s string) string {
	if s = strings.Join(strings.Fields(s), " "); s == "" {
		return ""
	}
	s = status.Printable(s)
	return strings.ToValidUTF8(s[:min(len(s), 100)], "?")
}

// text is a value of a file's metadata, "" where there is none.
func text(f *gguf.File, key string) string {
	kv, ok := f.KV(key)
	if !ok {
		return ""
	}
	value, _ := kv.Text()
	return strings.ToValidUTF8(value, "?")
}
