package update

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Directory is the way of a package: the slots are directories, and what starts the program
// chooses one of them with Start each time. The link current leads to the slot that is kept;
// the link trial, where there is one, to the slot that the next start takes instead. It is
// removed before that slot is started, so that a program that dies at once is not started
// twice. The link running leads to the slot that was started last: the unit's ExecStart goes
// through it. It is the only thing that a start may have to write, and a start that cannot
// write it, as on a full disk, leaves the old slot to be started.
type Directory struct {
	// Base is the directory with the slots a and b.
	Base string

	steps steps
}

// NewDirectory has the slots in base.
func NewDirectory(base string) *Directory { return &Directory{base, realSteps{}} }

const (
	currentLink = "current"
	trialLink   = "trial"
	runningLink = "running"
)

func (d *Directory) path(name string) string { return filepath.Join(d.Base, name) }

// link reads where a link leads; the error wraps fs.ErrNotExist where it is not there.
func (d *Directory) link(name string) (Slot, error) {
	to, err := os.Readlink(d.path(name))
	if err == nil && !Slot(to).valid() {
		err = fmt.Errorf("%s leads to %q, not to %s or %s: make it anew with ln -sfn", d.path(name), to, A, B)
	}
	return Slot(to), err
}

// Start chooses the slot to be started, and has the link running lead to it.
func (d *Directory) Start() (Running, error) {
	slot, err := d.link(trialLink)
	trial := err == nil
	if !errors.Is(err, fs.ErrNotExist) {
		if err := d.steps.remove(d.path(trialLink)); err != nil {
			return Running{}, err
		}
	}
	current, err := d.link(currentLink)
	if err != nil {
		return Running{}, fmt.Errorf("%w: no version is installed in %s: install the package again", err, d.Base)
	}
	if !trial {
		slot = current
	}
	return Running{slot, slot != current}, d.point(runningLink, slot)
}

// Running is what Start chose last.
func (d *Directory) Running() (Running, error) {
	current, err := d.link(currentLink)
	if err != nil {
		return Running{}, fmt.Errorf("%w: no version is installed in %s: install the package again", err, d.Base)
	}
	slot, err := d.link(runningLink)
	if err != nil { // nothing was started yet
		return Running{Slot: current}, nil
	}
	return Running{slot, slot != current}, nil
}

// Disarm has every start take the other slot.
func (d *Directory) Disarm(idle Slot) error {
	if err := d.steps.remove(d.path(trialLink)); err != nil {
		return err
	}
	return d.point(currentLink, idle.Other())
}

// Arm has the next start take idle.
func (d *Directory) Arm(idle Slot, _ string) (reboot string, err error) {
	return "", d.point(trialLink, idle)
}

// Keep has every start take slot.
func (d *Directory) Keep(slot Slot) error { return d.point(currentLink, slot) }

func (d *Directory) point(name string, slot Slot) error {
	if is, err := d.link(name); err == nil && is == slot {
		return nil
	}
	return d.steps.symlink(string(slot), d.path(name))
}
