package update

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// However far a package has come with its program when the power fails, and whatever
// an update had done before, the next start has a program; the one after the package is
// configured anew is the package's.
func TestPowerCutWhileAdopting(t *testing.T) {
	for name, before := range map[string]func(t *testing.T, d *Directory, u *Updater){
		"nothing": func(*testing.T, *Directory, *Updater) {},
		"an update that waits": func(t *testing.T, _ *Directory, u *Updater) {
			applied(t, u, 2)
		},
		"an update that is kept": func(t *testing.T, d *Directory, u *Updater) {
			keptUpdate(t, d, u, 2)
		},
		"two updates that are kept": func(t *testing.T, d *Directory, u *Updater) {
			keptUpdate(t, d, u, 2)
			keptUpdate(t, d, u, 3)
		},
		"a third one that waits": func(t *testing.T, d *Directory, u *Updater) {
			keptUpdate(t, d, u, 2)
			keptUpdate(t, d, u, 3)
			applied(t, u, 4)
		},
		"a third one on trial": func(t *testing.T, d *Directory, u *Updater) {
			keptUpdate(t, d, u, 2)
			keptUpdate(t, d, u, 3)
			applied(t, u, 4)
			restart(t, d, u)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cut := true
			for left := 0; cut; left++ {
				d, u, program := newPackage(t)
				before(t, d, u)
				brought := newVersion(t, 9, "skerry")
				write(t, program, brought.files["skerry"])
				p := &power{rng: rand.New(rand.NewPCG(uint64(left), 3)), left: left, fat: func(string) bool { return false }}
				failing := &Updater{&Directory{d.Base, p}, &Slots{d.Base, nil, nil, nil, p}, u.path, u.now, p}
				_, err := failing.Adopt(t.Context(), program, brought.manifest.Version, brought.manifest.Files)
				if cut = err != nil; cut && !errors.Is(err, errPower) {
					t.Fatal(err)
				}
				if _, err := d.Start(); err != nil {
					t.Fatalf("cut after %d steps: %v", left, err)
				}
				if _, err := os.ReadFile(filepath.Join(d.Base, runningLink, "skerry")); err != nil {
					t.Fatalf("cut after %d steps: %v", left, err)
				}
				if _, err := u.Adopt(t.Context(), program, brought.manifest.Version, brought.manifest.Files); err != nil {
					t.Fatal(err)
				}
				s, r := restart(t, d, u)
				if text, err := os.ReadFile(filepath.Join(d.Base, runningLink, "skerry")); err != nil || string(text) != string(brought.files["skerry"]) {
					t.Errorf("cut after %d steps: %.30q runs, %v", left, text, err)
				}
				if r.Trial || s.Phase != Idle || s.Slots[r.Slot].Version != brought.manifest.Version {
					t.Errorf("cut after %d steps: %+v, %+v", left, r, s)
				}
			}
		})
	}
}

// newPackage is a board whose package has brought a first version, which runs.
func newPackage(t *testing.T) (d *Directory, u *Updater, program string) {
	t.Helper()
	base := t.TempDir()
	always := &power{left: -1} // which waits for no disk
	d, program = &Directory{base, always}, filepath.Join(t.TempDir(), "skerry")
	u = &Updater{d, &Slots{base, nil, nil, nil, always}, filepath.Join(base, "updates.json"), time.Now, always}
	first := newVersion(t, 1, "skerry")
	write(t, program, first.files["skerry"])
	if _, err := u.Adopt(t.Context(), program, first.manifest.Version, first.manifest.Files); err != nil {
		t.Fatal(err)
	}
	restart(t, d, u)
	return d, u, program
}

// applied is an update that the next start tries.
func applied(t *testing.T, u *Updater, minor uint32) {
	t.Helper()
	if err := apply(t, u, newVersion(t, minor, "skerry")); err != nil {
		t.Fatal(err)
	}
}

// keptUpdate has an update be applied, tried and kept.
func keptUpdate(t *testing.T, d *Directory, u *Updater, minor uint32) {
	t.Helper()
	applied(t, u, minor)
	restart(t, d, u)
	if err := u.Keep(); err != nil {
		t.Fatal(err)
	}
	restart(t, d, u)
}

// An update is taken after a package was upgraded while the service is stopped, and is not
// written over what the package has brought.
func TestUpdateAfterAdoptingStopped(t *testing.T) {
	d, u, program := newPackage(t)
	keptUpdate(t, d, u, 2)
	brought := newVersion(t, 3, "skerry")
	write(t, program, brought.files["skerry"])
	if _, err := u.Adopt(t.Context(), program, brought.manifest.Version, brought.manifest.Files); err != nil {
		t.Fatal(err)
	}
	if s, r, err := u.Status(); err != nil || r.Trial || s.Slots[r.Slot].Version != brought.manifest.Version {
		t.Errorf("%+v, %+v, %v", s, r, err)
	}
	applied(t, u, 4)
	if s, r := restart(t, d, u); s.Phase != OnTrial || s.Slots[r.Slot.Other()].Version != brought.manifest.Version {
		t.Errorf("%+v, %+v", s, r)
	}
	if s, r := restart(t, d, u); s.Phase != Idle || s.Slots[r.Slot].Version != brought.manifest.Version {
		t.Errorf("%+v, %+v", s, r)
	}
}
