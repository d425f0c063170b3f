package update

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/update/manifest"
)

// ErrOnTheWay is wrapped where an update is going on that is to end first.
var ErrOnTheWay = errors.New("an update is on the way")

// ErrNoPrevious is wrapped where there is no version to go back to.
var ErrNoPrevious = errors.New("there is no previous version")

// Updater updates what a board runs. Its methods may be called by several processes.
type Updater struct {
	boot  Boot
	slots *Slots
	path  string // of the record
	now   func() time.Time
	steps steps
}

// New keeps the record of updates in the file record, which is in no slot.
func New(boot Boot, slots *Slots, record string) *Updater {
	return &Updater{boot, slots, record, time.Now, realSteps{}}
}

// Attempt is an update that the next boot tries.
type Attempt struct {
	Slot    Slot
	Version manifest.Version
	// Reboot is the argument of reboot(2) that it takes, empty for none.
	Reboot string
	// Bundle says that it is of a model bundle, which a restart of the daemon tries.
	Bundle bool
}

// locked calls do with the record as it is, alone among all processes.
func (u *Updater) locked(do func(s *State, r Running) error) error {
	release, err := disk.Lock(u.path)
	if err != nil {
		return err
	}
	defer release()
	s, err := u.load()
	if err != nil {
		return err
	}
	r, err := u.boot.Running()
	if err != nil {
		return err
	}
	return do(s, r)
}

// Status returns the record and what runs, as they are.
func (u *Updater) Status() (s *State, r Running, err error) {
	if s, err = u.load(); err == nil {
		r, err = u.boot.Running()
	}
	return s, r, err
}

// Open reads what an update says of itself and holds it against the policy, in which the
// installed version, where it is nil, is that of the slot that runs, and the time that has
// passed no earlier than when the newest update was made that was ever taken here. A
// manifest is returned with a refusal too, once its signature is good. Errors are a
// *manifest.Refusal, of the source or of the context.
func (u *Updater) Open(ctx context.Context, from Source, p manifest.Policy) (*manifest.Manifest, error) {
	s, r, err := u.Status()
	if err != nil {
		return nil, err
	}
	if c, known := s.Slots[r.Slot]; known && p.Installed == nil {
		p.Installed = &c.Version
	}
	if s.Newest.After(p.NotBefore) {
		p.NotBefore = s.Newest
	}
	text, signature, err := from.Manifest(ctx)
	if err != nil {
		return nil, err
	}
	return manifest.Open(text, signature, p)
}

// Apply fetches an update, whose manifest was opened, writes it to the idle slot and has
// the next boot try it. The slot that runs is not touched. report is told what is being
// done and bytes of how many. Errors are one line with what to do; they wrap
// ErrOnTheWay, ErrDamaged, syscall.ENOSPC or the context's error where that is the cause.
func (u *Updater) Apply(ctx context.Context, m *manifest.Manifest, from Source, report func(step string, done, total int64)) (armed Attempt, err error) {
	if report == nil {
		report = func(string, int64, int64) {}
	}
	err = u.locked(func(s *State, r Running) error {
		if err := u.free(s, r); err != nil {
			return err
		}
		if a, ok := from.(archiveSource); ok {
			defer os.RemoveAll(a.cache) // nothing goes on with it, and it is as large as a slot
		}
		idle := r.Slot.Other()
		if err := u.slots.room(idle, m.Files); err != nil {
			return err
		}
		files, err := from.Files(ctx, m.Files, report)
		if err != nil {
			return err
		}
		// They may lie beside the slots: it is known only now what is left, and the slot
		// still has the previous version.
		if err := u.slots.room(idle, m.Files); err != nil {
			return err
		}
		s.Phase, s.Target, s.Slots[idle] = Writing, idle, Content{m.Version, m.Files, false}
		if m.Created.After(s.Newest) {
			s.Newest = m.Created
		}
		if err := u.save(s); err != nil {
			return err
		}
		if err := u.boot.Disarm(idle); err != nil {
			return errors.Join(err, u.end(s, false, err.Error()))
		}
		if err := u.slots.fill(ctx, idle, m.Files, files, report); err != nil {
			return u.drop(s, err)
		}
		if armed, err = u.arm(s); err == nil {
			os.RemoveAll(u.Cache()) // it is in the slot now; what is left costs only space
		}
		return err
	})
	return armed, err
}

// free says whether an update may begin.
func (u *Updater) free(s *State, r Running) error {
	switch {
	case s.Phase == Armed && r.Slot != s.Target:
		return fmt.Errorf("%w: restart to try version %s, or take it back", ErrOnTheWay, s.Slots[s.Target].Version)
	case s.Phase != Idle && s.Phase != Writing, r.Trial:
		return fmt.Errorf("%w: the version that runs is on trial: wait until it is kept, or take it back", ErrOnTheWay)
	}
	return nil
}

// arm has the next boot try the target, which is whole.
func (u *Updater) arm(s *State) (Attempt, error) {
	c := s.Slots[s.Target]
	c.Whole, s.Phase = true, Armed
	s.Slots[s.Target] = c
	if err := u.save(s); err != nil {
		return Attempt{}, err
	}
	reboot, err := u.boot.Arm(s.Target, c.Version.String())
	if err != nil {
		return Attempt{}, u.drop(s, err)
	}
	return Attempt{Slot: s.Target, Version: c.Version, Reboot: reboot}, nil
}

const interrupted = "it was interrupted while it was written: apply it again"

// drop ends an update that could not be armed.
func (u *Updater) drop(s *State, why error) error {
	reason := why.Error()
	if errors.Is(why, context.Canceled) {
		reason = interrupted
	}
	return errors.Join(why, u.boot.Disarm(s.Target), u.end(s, false, reason))
}

// Resume brings an update further after a start, however the last one ended. It is called
// by every start of the daemon, before anything else here. Where the phase is OnTrial then,
// Watch is to be called.
func (u *Updater) Resume() (state *State, err error) {
	err = u.locked(func(s *State, r Running) error {
		state = s
		isNew := r.Slot == s.Target
		switch {
		case s.Phase == Idle:
			return nil
		case isNew && s.Phase == Writing:
			// The slot that is written is never the one that runs: the record is of
			// another disk, or somebody has changed the boot by hand.
			return u.end(s, false, "the slot that it was written to was booted before it was whole")
		case isNew && r.Trial && s.Phase == Armed:
			s.Phase = OnTrial
			return u.save(s)
		case isNew && r.Trial && s.Phase == OnTrial:
			return nil // the daemon was restarted, the board was not
		case isNew:
			return u.keep(s) // it had been found well
		}
		reason := map[Phase]string{
			Writing: interrupted,
			Armed:   "the old version was started instead: the new one does not start, or the power failed before it could",
			OnTrial: "it was started, and it ended, or the board was reset or lost its power, before it had proved itself",
			Keeping: "the power failed while it was being kept: apply it again",
		}[s.Phase]
		if s.Failing != "" {
			reason = s.Failing
		}
		if err := u.boot.Disarm(s.Target); err != nil {
			return err
		}
		return u.end(s, false, reason)
	})
	return state, err
}

// Trial returns the record of a version on trial, nil where none is. Where a start could not
// note that, or that the trial is over, as another process was changing the record, it is
// done now.
func (u *Updater) Trial() (*State, error) {
	s, r, err := u.Status()
	if err != nil {
		return nil, err
	}
	if isNew := r.Slot == s.Target; s.Phase == Armed && isNew || s.Phase == OnTrial && !isNew {
		if s, err = u.Resume(); err != nil {
			return nil, err
		}
	}
	if s.Phase != OnTrial {
		return nil, nil
	}
	return s, nil
}

func (u *Updater) keep(s *State) error {
	s.Phase = Keeping
	if err := u.save(s); err != nil {
		return err
	}
	if err := u.boot.Keep(s.Target); err != nil {
		return err
	}
	return u.end(s, true, "")
}

// Keep has the version on trial stay. The error wraps ErrTakenBack where it is given up.
func (u *Updater) Keep() error { return u.onTrial(u.keep) }

// Fail notes why the version on trial does not stay. The board is to be restarted then. The
// error wraps ErrTakenBack where it is given up already: the first reason stands.
func (u *Updater) Fail(reason string) error {
	return u.onTrial(func(s *State) error {
		s.Failing = reason
		return u.save(s)
	})
}

// onTrial decides on the version on trial, unless that is done: by hand, it may be while the
// last prompt is answered.
func (u *Updater) onTrial(decide func(s *State) error) error {
	return u.locked(func(s *State, r Running) error {
		switch {
		case s.Phase != OnTrial || r.Slot != s.Target:
			return fmt.Errorf("no version is on trial: apply an update first")
		case s.Failing != "":
			return ErrTakenBack
		}
		return decide(s)
	})
}

// Rollback has the next boot try the previous version, once it is read and found whole. An
// update that waits for a restart is dropped instead; one on trial is given up. restart
// says whether a restart is needed. Errors wrap ErrNoPrevious or ErrDamaged.
func (u *Updater) Rollback(ctx context.Context) (armed Attempt, restart bool, err error) {
	err = u.locked(func(s *State, r Running) error {
		switch {
		case (s.Phase == OnTrial || s.Phase == Armed) && r.Slot == s.Target && r.Trial:
			s.Failing, restart = byHand, true
			armed = Attempt{Slot: r.Slot.Other(), Version: s.Slots[r.Slot.Other()].Version}
			return u.save(s)
		case s.Phase != Idle && r.Slot == s.Target:
			return fmt.Errorf("%w: it is just being kept: start the daemon, and try again", ErrOnTheWay)
		case s.Phase != Idle:
			armed = Attempt{Slot: r.Slot, Version: s.Slots[r.Slot].Version}
			if err := u.boot.Disarm(r.Slot.Other()); err != nil {
				return err
			}
			return u.end(s, false, byHand+" before it was tried")
		}
		other := r.Slot.Other()
		c := s.Slots[other]
		if !c.Whole {
			return fmt.Errorf("%w that is whole in the other slot: apply the older version as an update instead, with a downgrade allowed", ErrNoPrevious)
		}
		if err := u.slots.verify(ctx, other, c.Files, func(string, int64, int64) {}); err != nil {
			return err
		}
		s.Target = other
		restart = true
		armed, err = u.arm(s)
		return err
	})
	return armed, restart, err
}

// Seed records what the slot that runs holds, where no update has written it: as an image
// or a package brought it. It makes a later rollback to it possible. Slots that are
// recorded stay as they are.
func (u *Updater) Seed(version manifest.Version, files []manifest.Entry) error {
	return u.locked(func(s *State, r Running) error {
		if _, known := s.Slots[r.Slot]; known || r.Trial {
			return nil
		}
		s.Slots[r.Slot] = Content{version, files, true}
		return u.save(s)
	})
}

// Cache is where downloads of updates are kept until they are in a slot, beside the
// record. Nothing else may be there.
func (u *Updater) Cache() string { return filepath.Join(filepath.Dir(u.path), "downloads") }
