package update

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/update/manifest"
)

// Adopt has every start take a program that lies elsewhere, as a package has brought it to
// /usr/bin: a slot becomes a directory with one link to it, under the program's own name. It
// is the slot that was so before, else the one that is not kept, so that the version
// that an update has brought stays the previous one. What was going on before is over, and
// what runs counts as stopped: it is to be started anew. Where the slot is recorded with
// these files already, nothing is changed and adopted is false. The boot is a *Directory.
// Whenever the power fails, the next start has a program. Another process that changes the
// record is waited for until ctx ends; the error wraps disk.ErrBusy then.
func (u *Updater) Adopt(ctx context.Context, program string, version manifest.Version, files []manifest.Entry) (adopted bool, err error) {
	return u.AdoptAs(ctx, filepath.Base(program), program, version, files)
}

// AdoptAs is Adopt of a file or a directory, which has a name of its own in the slot.
func (u *Updater) AdoptAs(ctx context.Context, name, path string, version manifest.Version, files []manifest.Entry) (adopted bool, err error) {
	d, ok := u.boot.(*Directory)
	if !ok {
		return false, fmt.Errorf("a program is adopted only where a package has installed it")
	}
	if err := os.MkdirAll(d.Base, 0o755); err != nil {
		return false, err
	}
	release, err := u.waitLock(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	s, err := u.load()
	if err != nil {
		return false, err
	}
	slot := d.adopting(name, path)
	c, known := s.Slots[slot]
	if _, err := d.link(currentLink); err == nil && known && d.leadsTo(slot, name, path) && c.Version == version && slices.Equal(c.Files, files) {
		return false, nil
	}
	if !d.leadsTo(slot, name, path) { // a slot that does may be the one that is started
		if err := d.steps.remove(d.path(trialLink)); err != nil {
			return false, err
		}
		if err := u.slots.steps.remove(d.path(string(slot))); err != nil {
			return false, err
		}
		if err := os.MkdirAll(d.path(string(slot)), 0o755); err != nil {
			return false, err
		}
		if err := d.steps.symlink(path, filepath.Join(d.path(string(slot)), name)); err != nil {
			return false, err
		}
	}
	if err := d.Disarm(slot.Other()); err != nil {
		return false, err
	}
	// Where the service is stopped, what it started last would count as running, on trial.
	if err := d.point(runningLink, slot); err != nil {
		return false, err
	}
	s.Slots[slot] = Content{version, files, true}
	if s.Phase != Idle {
		if c := s.Slots[slot.Other()]; s.Target != slot && s.Phase != Keeping {
			c.Whole = false
			s.Slots[slot.Other()] = c
		}
		s.Phase, s.Target, s.Failing = Idle, "", ""
	}
	s.Last = nil // it is of what the package has replaced
	return true, u.save(s)
}

// lockPoll is how often it is looked whether the record may be changed.
const lockPoll = 100 * time.Millisecond

func (u *Updater) waitLock(ctx context.Context) (release func(), err error) {
	for {
		if release, err = disk.Lock(u.path); !errors.Is(err, disk.ErrBusy) {
			return release, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(lockPoll):
		}
	}
}

// adopting is the slot for what lies at a path.
func (d *Directory) adopting(name, path string) Slot {
	for _, s := range []Slot{A, B} {
		if d.leadsTo(s, name, path) {
			return s
		}
	}
	if kept, err := d.link(currentLink); err == nil {
		return kept.Other()
	}
	return A
}

// leadsTo says whether a slot is a link to what lies at a path.
func (d *Directory) leadsTo(s Slot, name, path string) bool {
	to, err := os.Readlink(filepath.Join(d.path(string(s)), name))
	return err == nil && to == path
}

// Forget takes back what is said of an update that did not stick.
func (u *Updater) Forget() error {
	return u.locked(func(s *State, _ Running) error {
		if s.Last == nil {
			return nil
		}
		s.Last = nil
		return u.save(s)
	})
}
