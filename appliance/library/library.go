// Package library is the board's models by name: which bundles are here, under which names
// each may be asked for, where it came from, under which licence, and with which draft.
//
// The bundles themselves are the truth. Beside them lies one small record for each that has
// more names than its own, and whatever of these is lost or damaged costs those names alone.
// Bundles of the cache are the library's own, which it makes and removes; one that lies
// elsewhere, as the daemon's setting names it, is listed and never touched.
package library

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/prepare"
)

// Library is the models of one cache directory, and of bundles that lie elsewhere. Its
// methods may be called concurrently, also by several processes.
type Library struct {
	cache string
	given []string
	// draftFor is what package fetch takes of the draft for a model, by the sha256 of its
	// file; "" where there is none.
	draftFor func(sha256 string) string
}

// Open is the library of the cache directory ($SKERRY_CACHE, or skerry under the user's
// cache directory), with bundles that lie elsewhere, which come first and win their names.
func Open(given ...string) (*Library, error) {
	cache, err := fetch.CacheDir()
	if err != nil {
		return nil, err
	}
	given = slices.DeleteFunc(slices.Clone(given), func(dir string) bool { return dir == "" })
	return &Library{cache: cache, given: given, draftFor: fetch.DraftFor}, nil
}

// Model is a bundle under one of its names.
type Model struct {
	// Name by which it is listed; Own is the bundle's, by which it is loaded. Where they
	// differ the entry is a copy (Copy), or two bundles have one name, and the beginning of
	// the id tells them apart.
	Name, Own string
	Copy      bool
	Dir       string
	Manifest  *bundle.Manifest
	ID        string // of the bundle, hex
	// Owned says that it lies in the library, which may remove it.
	Owned    bool
	Origin   string // what it was fetched by, "" where that is not known
	Licence  string // as its publisher or its file says, "" where neither does
	Modified time.Time

	asked []string // names by which it was fetched, canonical
	only  bool     // as record.Only
	dirs  []string // all that hold this very bundle under this very name
}

// List is every model, under each of its names: first those that lie elsewhere, then by
// directory. A bundle whose manifest cannot be read is left out.
func (l *Library) List() []Model {
	var models []Model
	add := func(dir string, owned bool) {
		m, err := read(dir, owned)
		if err != nil {
			return
		}
		for i := range models {
			if a := &models[i]; a.ID == m.ID && Canonical(a.Own) == Canonical(m.Own) {
				if !slices.Contains(a.dirs, m.Dir) {
					a.dirs = append(a.dirs, m.Dir)
				}
				if a.Owned && a.Manifest.Draft == nil && m.Manifest.Draft != nil { // which has more in it
					m.dirs = a.dirs
					*a = m
				}
				return
			}
		}
		models = append(models, m)
	}
	for _, dir := range l.given {
		add(dir, l.owns(dir))
	}
	for _, dir := range prepare.Dirs(l.cache) {
		add(dir, true)
	}
	l.addRecords(models)
	tellApart(models)
	return withCopies(models, l.records())
}

// owns says whether a directory is one of the library's bundles.
func (l *Library) owns(dir string) bool {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	root, err := filepath.EvalSymlinks(l.bundles())
	return err == nil && filepath.Dir(real) == root
}

func (l *Library) bundles() string { return filepath.Join(l.cache, "bundles") }

// read is the bundle in a directory under its own name.
func read(dir string, owned bool) (Model, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Model{}, err
	}
	k, err := bundle.ReadKept(dir)
	if err != nil {
		return Model{}, err
	}
	man := k.Manifest
	return Model{Name: man.Name, Own: man.Name, Dir: dir, Manifest: &man, ID: k.ID, Owned: owned, Modified: k.Modified, dirs: []string{dir}}, nil
}

// addRecords adds what the records say of the bundles.
func (l *Library) addRecords(models []Model) {
	all := l.records()
	for i := range models {
		if r, ok := all[models[i].ID]; ok {
			models[i].Origin, models[i].Licence, models[i].asked, models[i].only = r.Origin, r.Licence, r.Asked, r.Only
		}
	}
}

// idTag is how many digits of an id tell bundles of one name apart.
const idTag = 12

// tellApart gives bundles of one name the beginnings of their ids as tags. The first that
// lies elsewhere keeps the name, as it was chosen by hand.
func tellApart(models []Model) {
	same := map[string][]int{}
	for i, m := range models {
		same[Canonical(m.Own)] = append(same[Canonical(m.Own)], i)
	}
	for _, of := range same {
		if len(of) < 2 {
			continue
		}
		if !models[of[0]].Owned {
			of = of[1:]
		}
		for _, i := range of {
			models[i].Name = fmt.Sprintf("%s:%s", models[i].Own, models[i].ID[:idTag])
		}
	}
}

// withCopies puts the further names of each bundle behind it. A name that another bundle
// has by itself counts for that.
func withCopies(models []Model, all map[string]record) (out []Model) {
	taken := map[string]bool{}
	for _, m := range models {
		taken[Canonical(m.Name)] = true
	}
	for _, m := range models {
		out = append(out, m)
		for _, name := range all[m.ID].Copies {
			if taken[Canonical(name)] {
				continue
			}
			taken[Canonical(name)] = true
			c := m
			c.Name, c.Copy, c.Modified = name, true, m.Modified
			out = append(out, c)
		}
	}
	return out
}

// Bytes of the bundle's files on the disk; what two files share counts twice.
func (m *Model) Bytes() (n int64) {
	for _, f := range m.files() {
		n += f.Size()
	}
	return n
}

func (m *Model) files() (all []fs.FileInfo) {
	for _, dir := range m.dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
				all = append(all, info)
			}
		}
	}
	return all
}

// Draft is the name of the bundle's draft model, "" where it has none.
func (m *Model) Draft() string {
	if m.Manifest.Draft == nil {
		return ""
	}
	return m.Manifest.Draft.Name
}

// Quantization is how most of the model's matrices are stored, in capitals.
func (m *Model) Quantization() string {
	best := ""
	for t, n := range m.Manifest.Tensors {
		if most := m.Manifest.Tensors[best]; t != "f32" && (n > most || n == most && t < best) {
			best = t
		}
	}
	return strings.ToUpper(best)
}

// Find is the model that a name means, as NameError has it where none or several do.
func (l *Library) Find(name string) (Model, error) { return find(l.List(), name) }

// PathOf is Path of the library of this user's cache.
func PathOf(given string) (string, error) {
	l, err := Open()
	if err != nil {
		return "", err
	}
	return l.Path(given)
}

// Path is the directory of the bundle that a user means by a path or a name: a path counts
// where there is something, else a name.
func (l *Library) Path(given string) (string, error) {
	if _, err := os.Stat(given); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return given, nil
	}
	m, err := l.Find(given)
	if err != nil {
		return "", err
	}
	return m.Dir, nil
}

// All is what skerry model ls shows: the models under all their names, and the fetched files
// of which no bundle was made.
func (l *Library) All() []prepare.Model {
	all := []prepare.Model{}
	made := map[string]bool{}
	for _, m := range l.List() {
		d := prepare.Describe(m.Dir, m.Manifest)
		d.Name, d.Licence, d.Origin = m.Name, m.Licence, m.Origin
		if m.Copy {
			d.Copy = m.Own
		}
		all = append(all, d)
		made[m.Manifest.Source.SHA256] = true
		if m.Manifest.Draft != nil {
			made[m.Manifest.Draft.SHA256] = true
		}
		if m.Manifest.Projector != nil {
			made[m.Manifest.Projector.SHA256] = true
		}
	}
	for _, g := range prepare.Fetched(l.cache) {
		if !made[filepath.Base(filepath.Dir(g.Path))] {
			all = append(all, g)
		}
	}
	return all
}
