package install

import (
	"context"
	"errors"
	"fmt"
	"time"

	"skerry/appliance/update"
	"skerry/appliance/update/manifest"
)

// Apply writes an update, whose manifest was opened, and has the next start try it. One at a
// time is on the way, of the program or of the bundle: what fails is to have one cause.
func (i *Installation) Apply(ctx context.Context, m *manifest.Manifest, from update.Source, report func(step string, done, total int64)) (update.Attempt, error) {
	if m.Kind == manifest.Bundle {
		if err := settled(i.Updater); err != nil {
			return update.Attempt{}, fmt.Errorf("%w, of the program: it is to end first", err)
		}
		return i.Models.apply(ctx, m, from, report)
	}
	if i.Models.there() {
		if err := settled(i.Models.Updater); err != nil {
			return update.Attempt{}, fmt.Errorf("%w, of the model bundle: it is to end first", err)
		}
	}
	return i.Updater.Apply(ctx, m, from, report)
}

// settled is nil where no version is to be tried, or on trial.
func settled(u *update.Updater) error {
	s, _, err := u.Status()
	if err != nil {
		return err
	}
	if s.Phase != update.Idle && s.Phase != update.Writing {
		return update.ErrOnTheWay
	}
	return nil
}

// GoBack has the next start try the version before, of the program or system, or of the model
// bundle.
func (i *Installation) GoBack(ctx context.Context, ofBundle bool) (a update.Attempt, restart bool, err error) {
	if ofBundle {
		return i.Models.rollback(ctx)
	}
	return i.Rollback(ctx)
}

// Forget takes back what is said of updates that did not stick.
func (i *Installation) Forget() error {
	err := i.Updater.Forget()
	if i.Models.there() {
		err = errors.Join(err, i.Models.Forget())
	}
	return err
}

// Trials is what watches versions on trial.
type Trials struct {
	// Program is asked whether a version of the program is well, Bundle whether a bundle is,
	// by its id in hex, which is "" for the default model.
	Program func(manifest.Version) update.Probe
	Bundle  func(id string) update.Probe
	// Steady is how long a program has to be ready without a break.
	Steady time.Duration
	Note   func(format string, args ...any)
}

// Watch watches what is on trial until it is kept or not. failed is set where it did not
// prove itself: what it is of is to be started anew then.
func (i *Installation) Watch(ctx context.Context, t Trials) (failed bool, of update.Attempt, err error) {
	failed, err = t.watch(ctx, i.Updater, update.Attempt{}, t.Steady, func(v manifest.Version) (update.Probe, error) { return t.Program(v), nil })
	if failed || err != nil || !i.Models.there() {
		return failed, of, err
	}
	of.Bundle = true
	failed, err = t.watch(ctx, i.Models.Updater, of, bundleAtOnce, func(manifest.Version) (update.Probe, error) {
		id, err := i.Models.id()
		return t.Bundle(id), err
	})
	return failed, of, err
}

func (t *Trials) watch(ctx context.Context, u *update.Updater, of update.Attempt, steady time.Duration, probe func(manifest.Version) (update.Probe, error)) (failed bool, err error) {
	for {
		s, err := u.Trial()
		if err != nil || s == nil {
			return false, err
		}
		of.Version = s.Slots[s.Target].Version
		says := What(of)
		if s.Failing == "" {
			p, err := probe(of.Version)
			if err != nil {
				return false, err
			}
			t.Note("%s is on trial", says)
			kept, err := u.Watch(ctx, p, steady)
			switch {
			case errors.Is(err, update.ErrTakenBack):
				return false, nil // by somebody, who restarts it
			case errors.Is(err, update.ErrOver):
				continue
			case err != nil:
				return false, err
			case kept:
				t.Note("%s stays", says)
				return false, nil
			}
		}
		t.Note("%s did not prove itself: the old one is started", says)
		return true, nil
	}
}
