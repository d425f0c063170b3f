package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/appliance/update/manifest"
)

// fakeBoard is a directory that stands in for the disks of a board.
type fakeBoard struct {
	t        *testing.T
	kind     string
	dir      string
	power    *power
	boot     Boot
	firmware firmware
	slots    *Slots
	up       *Updater
	slot     Slot // that was booted
}

// version is what a slot may hold.
type version struct {
	manifest *manifest.Manifest
	dir      string // with its files
	files    map[string][]byte
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

func newVersion(t testing.TB, minor uint32, files ...string) *version {
	t.Helper()
	made := time.Date(2030, 1, int(minor), 0, 0, 0, 0, time.UTC)
	v := &version{&manifest.Manifest{Format: manifest.Format, Kind: manifest.Program, Version: manifest.Version{Major: 1, Minor: minor}, Board: "any", Arch: "any",
		Created: made, Expires: made.AddDate(1, 0, 0)}, t.TempDir(), map[string][]byte{}}
	for i, name := range files {
		data := bytes.Repeat(fmt.Appendf(nil, "%s of version %d\n", name, minor), 20+i)
		v.files[name] = data
		sum := sha256.Sum256(data)
		v.manifest.Files = append(v.manifest.Files, manifest.Entry{Name: name, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]), Executable: true})
		write(t, filepath.Join(v.dir, name), data)
	}
	return v
}

// boards are the three ways of booting; each makes a board with the first version in slot
// a, or, where there is one already, that of the directory.
var boards = map[string]struct {
	files []string
	make  func(t *testing.T, dir string, p *power, first *version) *fakeBoard
}{
	"tryboot": {[]string{"boot.img", "root.img"}, func(t *testing.T, dir string, p *power, first *version) *fakeBoard {
		boot := &Tryboot{filepath.Join(dir, "first", "autoboot.txt"), filepath.Join(dir, "tree"), map[Slot]int{A: 2, B: 3}, nil, p}
		firmware := fakePi{boot, new(bool)}
		boot.Flag = func(try bool) error {
			return p.step(func() error { *firmware.flag = try; return nil }, func() {})
		}
		devices := map[Slot]map[string]string{}
		for _, s := range []Slot{A, B} {
			devices[s] = map[string]string{"boot.img": filepath.Join(dir, "boot-"+string(s)), "root.img": filepath.Join(dir, "root-"+string(s))}
		}
		if first != nil {
			write(t, boot.Autoboot, boot.text(A))
			write(t, filepath.Join(boot.DeviceTree, "x"), nil)
			for name := range first.files {
				write(t, devices[A][name], append(bytes.Clone(first.files[name]), make([]byte, 99)...))
				write(t, devices[B][name], make([]byte, 4096))
			}
		}
		return &fakeBoard{boot: boot, firmware: firmware, slots: &Slots{"", devices, nil, nil, p}}
	}},
	"systemd-boot": {[]string{"root.img", "uki.efi"}, func(t *testing.T, dir string, p *power, first *version) *fakeBoard {
		boot := &SystemdBoot{filepath.Join(dir, "esp"), filepath.Join(dir, "efivars"), p}
		devices, places := map[Slot]map[string]string{}, map[Slot]map[string]string{}
		for _, s := range []Slot{A, B} {
			devices[s] = map[string]string{"root.img": filepath.Join(dir, "root-"+string(s))}
			places[s] = map[string]string{"uki.efi": filepath.Join(boot.ESP, ImagePath(s))}
		}
		if first != nil {
			write(t, filepath.Join(boot.dir(), "skerry-a.conf"), []byte("title Skerry\nsort-key skerry\nversion 1\nefi /EFI/skerry/a.efi\n"))
			write(t, filepath.Join(boot.Variables, "x"), nil)
			write(t, devices[A]["root.img"], first.files["root.img"])
			write(t, devices[B]["root.img"], make([]byte, 4096))
			write(t, places[A]["uki.efi"], first.files["uki.efi"])
		}
		return &fakeBoard{boot: boot, firmware: fakeSystemdBoot{boot}, slots: &Slots{"", devices, places, nil, p}}
	}},
	"directory": {[]string{"skerry", "kernels/k.so"}, func(t *testing.T, dir string, p *power, first *version) *fakeBoard {
		boot := &Directory{filepath.Join(dir, "base"), p}
		if first != nil {
			for name, data := range first.files {
				write(t, filepath.Join(boot.Base, "a", name), data)
			}
			if err := os.Symlink("a", filepath.Join(boot.Base, "current")); err != nil {
				t.Fatal(err)
			}
		}
		return &fakeBoard{boot: boot, firmware: starter{boot}, slots: &Slots{boot.Base, nil, nil, nil, p}}
	}},
}

func newBoard(t *testing.T, kind, dir string, p *power, first *version) *fakeBoard {
	t.Helper()
	p.fat = func(path string) bool {
		return strings.HasPrefix(path, filepath.Join(dir, "first")) || strings.HasPrefix(path, filepath.Join(dir, "esp"))
	}
	b := boards[kind].make(t, dir, p, first)
	b.t, b.kind, b.dir, b.power = t, kind, dir, p
	record := filepath.Join(dir, "data", "updates.json")
	if first != nil {
		os.MkdirAll(filepath.Dir(record), 0o755)
	}
	b.up = &Updater{b.boot, b.slots, record, time.Now, p}
	return b
}

// holds is the version that a slot holds whole, nil for none.
func (b *fakeBoard) holds(slot Slot, versions ...*version) *version {
	for _, v := range versions {
		whole := true
		for name, want := range v.files {
			path, device, _ := b.slots.place(slot, name)
			got, _ := os.ReadFile(path)
			if device {
				got = got[:min(len(got), len(want))]
			}
			whole = whole && bytes.Equal(got, want)
		}
		if whole {
			return v
		}
	}
	return nil
}

// bytes is what is in a slot.
func (b *fakeBoard) bytes(slot Slot) string {
	var all strings.Builder
	for _, name := range boards[b.kind].files {
		path, _, _ := b.slots.place(slot, name)
		data, _ := os.ReadFile(path)
		fmt.Fprintf(&all, "%s: %q\n", name, data)
	}
	return all.String()
}

// start boots the board and resumes, as the daemon does. What it boots is whole, and what
// is reported is so. It returns nil where the power failed.
func (b *fakeBoard) start(reboot string, older, newer *version) *State {
	t := b.t
	t.Helper()
	slot, err := b.firmware.boot(reboot)
	if errors.Is(err, errPower) {
		return nil
	}
	if err != nil {
		t.Fatalf("the board does not boot: %v", err)
	}
	v := b.holds(slot, older, newer)
	if v == nil {
		t.Fatalf("slot %s is booted and not whole", slot)
	}
	b.slot = slot
	s, err := b.up.Resume()
	if errors.Is(err, errPower) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if stored, _, err := b.up.Status(); err != nil || stored.Phase != s.Phase {
		t.Fatalf("the record has %v, and %v was returned: %v", stored, s, err)
	}
	r, err := b.boot.Running()
	if err != nil || r.Slot != slot {
		t.Fatalf("%+v is said to run, and %s was booted: %v", r, slot, err)
	}
	switch {
	case s.Phase == OnTrial:
		if !r.Trial || slot != s.Target || v != newer {
			t.Fatalf("on trial is %s, of %+v and version %s", s.Target, r, v.manifest.Version)
		}
	case s.Phase != Idle:
		t.Fatalf("in phase %s after a start", s.Phase)
	case r.Trial:
		t.Fatalf("idle, and slot %s runs on trial", slot)
	case s.Last == nil:
		if v != older {
			t.Fatal("a new version runs, and nothing is recorded of it")
		}
	case s.Last.Kept && s.Slots[slot].Version != newer.manifest.Version:
		t.Fatalf("slot %s is recorded to hold %s", slot, s.Slots[slot].Version)
	case s.Last.Kept != (v == newer) || !s.Last.Kept && (s.Last.Reason == "" || s.Last.Version != newer.manifest.Version):
		t.Fatalf("version %s runs, and the record says: %s", v.manifest.Version, s.Last)
	}
	return s
}

// How a new version behaves.
const (
	healthy = iota
	unhealthy
	resets // as by the watchdog
	outcomes
)

// update applies newer and restarts until it is kept or not. It returns nil where the power
// failed.
func (b *fakeBoard) update(outcome int, older, newer *version) *State {
	b.t.Helper()
	s := b.start("", older, newer)
	if s == nil || s.Phase == OnTrial {
		return b.settle(s, outcome, older, newer)
	}
	if s.Last != nil && s.Last.Kept {
		return s
	}
	armed, err := b.up.Apply(context.Background(), newer.manifest, directorySource(newer.dir), nil)
	if errors.Is(err, errPower) {
		return nil
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return b.settle(b.start(armed.Reboot, older, newer), outcome, older, newer)
}

// settle brings a trial to its end.
func (b *fakeBoard) settle(s *State, outcome int, older, newer *version) *State {
	b.t.Helper()
	if s == nil || s.Phase != OnTrial {
		return s
	}
	var err error
	switch outcome {
	case healthy:
		err = b.up.Keep()
	case unhealthy:
		err = b.up.Fail("it was not ready")
	}
	if errors.Is(err, errPower) {
		return nil
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return b.start("", older, newer)
}

// Two hundred power cuts for each way of booting, each in any of the steps that write, some
// followed by one more while the board recovers: it always boots a whole slot, always says
// rightly how the update went, and always takes the update in the end.
func TestPowerCuts(t *testing.T) {
	for kind, made := range boards {
		t.Run(kind, func(t *testing.T) {
			older, newer := newVersion(t, 1, made.files...), newVersion(t, 2, made.files...)
			steps := [outcomes]int{}
			for outcome := range outcomes {
				p := &power{left: -1}
				b := newBoard(t, kind, t.TempDir(), p, older)
				s := b.update(outcome, older, newer)
				if s.Last == nil || s.Last.Kept != (outcome == healthy) {
					t.Fatalf("without a cut: %s", s.Last)
				}
				if outcome == unhealthy && s.Last.Reason != "it was not ready" {
					t.Errorf("the reason is %q", s.Last.Reason)
				}
				steps[outcome] = p.done
			}
			ends := map[string]int{}
			for seed := range uint64(200) {
				rng := rand.New(rand.NewPCG(seed, 7))
				outcome := int(seed % outcomes)
				p := &power{rng: rng, left: rng.IntN(steps[outcome])}
				dir := t.TempDir()
				b := newBoard(t, kind, dir, p, older)
				before := b.bytes(B)
				s := b.update(outcome, older, newer)
				if s != nil {
					t.Fatalf("seed %d: no cut within %d steps of %d", seed, p.done, steps[outcome])
				}
				if rng.IntN(2) == 0 { // another one while it recovers
					b = newBoard(t, kind, dir, &power{rng: rng, left: rng.IntN(4)}, nil)
					s = b.settle(b.start("", older, newer), outcome, older, newer)
				}
				b = newBoard(t, kind, dir, &power{rng: rng, left: -1}, nil)
				s = b.settle(b.start("", older, newer), outcome, older, newer)
				switch {
				case s.Last == nil:
					if b.bytes(B) != before {
						t.Fatalf("seed %d: the idle slot was written to, and nothing is recorded of it", seed)
					}
					ends["cut before it began"]++
				default:
					ends[s.Last.String()]++
				}
				if s.Last != nil && s.Last.Kept && outcome != healthy {
					t.Fatalf("seed %d: a version was kept that did not prove itself", seed)
				}
				slot := b.slot
				if b.start("", older, newer); b.slot != slot {
					t.Fatalf("seed %d: slot %s, and slot %s after one more restart", seed, slot, b.slot)
				}
				if s = b.update(healthy, older, newer); s.Last == nil || !s.Last.Kept {
					t.Fatalf("seed %d: the update is not taken any more: %s", seed, s.Last)
				}
			}
			for end, n := range ends {
				t.Logf("%3d of 200: %s", n, end)
			}
		})
	}
}

// A version that had proved itself and was lost to a power cut as it was being kept is not
// said to have failed.
func TestPowerCutWhileKeeping(t *testing.T) {
	for kind, made := range boards {
		for seed := range uint64(20) {
			older, newer := newVersion(t, 1, made.files...), newVersion(t, 2, made.files...)
			p := &power{rng: rand.New(rand.NewPCG(seed, 9)), left: -1}
			dir := t.TempDir()
			b := newBoard(t, kind, dir, p, older)
			b.start("", older, newer)
			armed, err := b.up.Apply(t.Context(), newer.manifest, directorySource(newer.dir), nil)
			if err != nil {
				t.Fatal(err)
			}
			b.start(armed.Reboot, older, newer)
			p.left = 1 // the record is written, and the boot is not
			if err := b.up.Keep(); !errors.Is(err, errPower) {
				t.Fatal(err)
			}
			b = newBoard(t, kind, dir, &power{left: -1}, nil)
			s := b.start("", older, newer)
			if s.Phase != Idle || !s.Last.Kept && !strings.Contains(s.Last.Reason, "while it was being kept") {
				t.Fatalf("%s, seed %d: %s, %s", kind, seed, s.Phase, s.Last)
			}
		}
	}
}
