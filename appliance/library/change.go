package library

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/prepare"
)

// Errors of changes.
var (
	ErrName   = errors.New("no name that a model may have")
	ErrTaken  = errors.New("taken by another model")
	ErrNotOwn = errors.New("not the library's")
)

// lock keeps other processes from changing the library until release is called.
func (l *Library) lock(ctx context.Context) (release func(), err error) {
	if err := os.MkdirAll(l.recordsDir(), 0o755); err != nil {
		return nil, disk.WriteError(l.recordsDir(), err)
	}
	held, err := disk.WaitLock(ctx, filepath.Join(l.recordsDir(), ".lock"), nil)
	if err != nil {
		return nil, disk.WriteError(l.recordsDir(), err)
	}
	return held.Release, nil
}

// Copy gives a model a further name. A name that is a copy's already means the model from
// now on; one that a bundle has by itself is ErrTaken, one that cannot be is ErrName.
func (l *Library) Copy(ctx context.Context, from, to string) error {
	return l.copyOf(ctx, func(models []Model) (Model, error) { return find(models, from) }, to)
}

// copyOf is Copy of the model that of chooses.
func (l *Library) copyOf(ctx context.Context, of func([]Model) (Model, error), to string) error {
	to = strings.TrimSuffix(strings.TrimSpace(to), ":latest")
	if err := CheckName(to); err != nil {
		return err
	}
	release, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	models := l.List()
	m, err := of(models)
	if err != nil {
		return err
	}
	there, err := find(models, to)
	switch several := (*NameError)(nil); {
	case err == nil && there.ID == m.ID && Canonical(there.Name) == Canonical(to):
		return nil // it has the name
	case err == nil && there.ID != m.ID && !there.Copy:
		return fmt.Errorf("the name %s is %w, %s: choose another, or remove that one first", to, ErrTaken, there.Name)
	case errors.As(err, &several) && len(several.Several) > 0:
		return fmt.Errorf("the name %s is %w, %s: choose another", to, ErrTaken, strings.Join(several.Several, " and "))
	}
	return l.name(m.ID, to)
}

// name has a name be that of a bundle's copy, and of no other's. The caller holds the lock.
func (l *Library) name(id, to string) error {
	for _, r := range l.records() {
		had := len(r.Copies)
		r.Copies = slices.DeleteFunc(r.Copies, func(name string) bool { return Canonical(name) == Canonical(to) })
		if len(r.Copies) != had {
			if err := l.keep(r); err != nil {
				return err
			}
		}
	}
	r := l.records()[id]
	if len(r.Copies) >= maxNames {
		return fmt.Errorf("%w: the model has %d names already: remove some", ErrTaken, len(r.Copies))
	}
	r.Bundle, r.Copies = id, append(r.Copies, to)
	return l.keep(r)
}

// Removed says what came of Remove.
type Removed struct {
	Name string
	// Left is a name that the model still has, and which so keeps its files; "" where
	// they are gone.
	Left  string
	Freed int64 // bytes of the disk
}

// Remove takes a name from a model, and with the last of its names its files: the bundle
// and what it was made of, unless another bundle needs that too or is being made of it. A
// bundle that lies elsewhere is ErrNotOwn. The error wraps disk.ErrInUse where a process has
// the bundle loaded, and disk.ErrBusy where one writes it.
func (l *Library) Remove(ctx context.Context, name string) (Removed, error) {
	release, err := l.lock(ctx)
	if err != nil {
		return Removed{}, err
	}
	defer release()
	l.sweep()
	models := l.List()
	m, err := find(models, name)
	if err != nil {
		return l.removeGGUF(models, name, err)
	}
	r := l.records()[m.ID]
	if m.Copy {
		r.Copies = slices.DeleteFunc(r.Copies, func(name string) bool { return Canonical(name) == Canonical(m.Name) })
		return Removed{Name: m.Name, Left: m.Own}, l.keep(r)
	}
	if !m.Owned {
		return Removed{}, fmt.Errorf("%s is %w: it lies in %s, which the configuration names (bundle): remove it by hand", m.Name, ErrNotOwn, m.Dir)
	}
	claims, err := claim(m.dirs)
	if err != nil {
		return Removed{}, fmt.Errorf("%s cannot be removed: %w: stop what uses it, or have the daemon remove it (skerry model rm, with its socket)", m.Name, err)
	}
	defer claims()
	// The same bundle may lie here under another name of its own. That one goes on having the
	// record, which is by the id, and with it the further names.
	if slices.ContainsFunc(models, func(c Model) bool { return !c.Copy && c.ID == m.ID && c.Dir != m.Dir }) {
		return l.removeFiles(m)
	}
	if i := slices.IndexFunc(models, func(c Model) bool { return c.Copy && c.ID == m.ID }); i >= 0 {
		return l.rename(m, r, models[i].Name)
	}
	if err := l.keep(record{Bundle: m.ID}); err != nil {
		return Removed{Name: m.Name}, err
	}
	return l.removeFiles(m)
}

// claim has every directory be nobody's but this process's.
func claim(dirs []string) (release func(), err error) {
	var all []func()
	release = func() {
		for _, f := range all {
			f()
		}
	}
	for _, dir := range dirs {
		for _, lock := range []func(string) (func(), error){disk.Lock, disk.Claim} {
			f, err := lock(dir)
			if err != nil {
				release()
				return nil, err
			}
			all = append(all, f)
		}
	}
	return release, nil
}

// rename has the bundle's own name be what was a copy's, as its own is taken away.
func (l *Library) rename(m Model, r record, to string) (Removed, error) {
	for _, dir := range m.dirs {
		one, err := read(dir, true)
		if err != nil {
			return Removed{}, err
		}
		one.Manifest.Name = to
		if err := one.Manifest.Write(dir); err != nil {
			return Removed{}, err
		}
	}
	r.Bundle, r.Asked, r.Only = m.ID, nil, true
	r.Copies = slices.DeleteFunc(r.Copies, func(name string) bool { return Canonical(name) == Canonical(to) })
	return Removed{Name: m.Name, Left: to}, l.keep(r)
}

// removing begins the name of a directory that is on its way out.
const removing = ".removed-"

// removeFiles removes a bundle with what it was made of. After a power cut it is there
// whole, or gone but for what sweep removes.
func (l *Library) removeFiles(m Model) (Removed, error) {
	done := Removed{Name: m.Name}
	sums := []string{m.Manifest.Source.SHA256}
	if d := m.Manifest.Draft; d != nil {
		sums = append(sums, d.SHA256)
	}
	if p := m.Manifest.Projector; p != nil {
		sums = append(sums, p.SHA256)
	}
	var gone []string
	for _, dir := range m.dirs {
		if !l.owns(dir) {
			continue
		}
		out := filepath.Join(filepath.Dir(dir), removing+filepath.Base(dir))
		if err := os.Rename(dir, out); err != nil {
			return done, disk.WriteError(dir, err)
		}
		gone = append(gone, out)
	}
	if err := disk.SyncDir(l.bundles()); err != nil {
		return done, err
	}
	var errs []error
	for _, sum := range sums {
		release, err := l.claimFetched(sum)
		if errors.Is(err, errNeeded) || errors.Is(err, disk.ErrInUse) || errors.Is(err, fs.ErrNotExist) {
			continue // another bundle was made of it or is about to be, or it is not here
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		defer release()
		gone = append(gone, l.fetched(sum))
	}
	done.Freed = onlyIn(gone)
	for _, dir := range gone {
		errs = append(errs, os.RemoveAll(dir))
	}
	return done, errors.Join(errs...)
}

// fetched is the directory of the fetched file of that sha256, there or not. Who fetches it,
// or makes a bundle of it, has it in use (disk.Use).
func (l *Library) fetched(sha256 string) string { return filepath.Join(l.cache, "models", sha256) }

// errNeeded says that a bundle was made of a fetched file.
var errNeeded = errors.New("a bundle was made of it")

// claimFetched has a fetched file, which no bundle was made of and nobody makes one of, be
// this process's to remove. The error wraps errNeeded, disk.ErrInUse or fs.ErrNotExist.
func (l *Library) claimFetched(sha256 string) (release func(), err error) {
	release, err = disk.Claim(l.fetched(sha256))
	if err != nil {
		return nil, err
	}
	if l.needs(sha256) { // which can change only while somebody has it in use
		release()
		return nil, errNeeded
	}
	return release, nil
}

// needs says whether a bundle of the library was made of a file.
func (l *Library) needs(sha256 string) bool {
	for _, dir := range prepare.Dirs(l.cache) {
		m, err := read(dir, true)
		if err == nil && (m.Manifest.Source.SHA256 == sha256 || m.Manifest.Draft != nil && m.Manifest.Draft.SHA256 == sha256 || m.Manifest.Projector != nil && m.Manifest.Projector.SHA256 == sha256) {
			return true
		}
	}
	return false
}

// onlyIn counts the bytes of files below the directories that no other name keeps.
func onlyIn(dirs []string) (n int64) {
	type inode struct{ dev, ino uint64 }
	links := map[inode]uint64{}
	for _, dir := range dirs {
		filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			info, err := d.Info()
			if err != nil {
				return nil
			}
			st, ok := info.Sys().(*syscall.Stat_t)
			if !ok {
				return nil
			}
			at := inode{uint64(st.Dev), st.Ino}
			if links[at]++; links[at] == uint64(st.Nlink) {
				n += info.Size()
			}
			return nil
		})
	}
	return n
}

// removeGGUF removes a fetched model that no bundle was made of; else it returns why the
// name means nothing. The error wraps disk.ErrInUse where a bundle is being made of it.
func (l *Library) removeGGUF(models []Model, name string, why error) (Removed, error) {
	for _, g := range prepare.Fetched(l.cache) {
		if !strings.EqualFold(g.Name, name) && !strings.EqualFold(g.Name+".gguf", name) && g.Path != name {
			continue
		}
		dir := filepath.Dir(g.Path)
		release, err := l.claimFetched(filepath.Base(dir))
		if errors.Is(err, disk.ErrInUse) {
			return Removed{}, fmt.Errorf("%s cannot be removed: a model is being made of it: %w: wait for that to end", g.Name, err)
		}
		if err != nil {
			continue // it is of a bundle that is asked for by another name
		}
		defer release()
		freed := onlyIn([]string{dir})
		return Removed{Name: g.Name, Freed: freed}, os.RemoveAll(dir)
	}
	return Removed{}, why
}

// sweep removes what a process that died has left half removed. The caller holds the lock.
func (l *Library) sweep() {
	left, _ := filepath.Glob(filepath.Join(disk.GlobEscape(l.bundles()), removing+"*"))
	for _, dir := range left {
		os.RemoveAll(dir)
	}
}
