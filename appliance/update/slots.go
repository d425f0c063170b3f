package update

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/update/manifest"
)

// ErrDamaged is wrapped where a file is not what the manifest says.
var ErrDamaged = errors.New("not what the manifest says")

// Slots is where the files of versions are.
type Slots struct {
	// Dir has a directory for each slot, named after it, for files that Devices has not.
	// Empty where there are none.
	Dir string
	// Devices are the partitions of a slot, by the names of the files they are written
	// from.
	Devices map[Slot]map[string]string
	// Places are files elsewhere, by the names that the manifest has of them, as the
	// kernel image on the EFI system partition.
	Places map[Slot]map[string]string
	// Check, where it is not nil, looks into a slot in Dir once it is written and read back:
	// where it fails the slot is not tried.
	Check func(ctx context.Context, dir string) error

	steps steps
}

// NewSlots has the files in directories below dir, but for the devices and places.
func NewSlots(dir string, devices, places map[Slot]map[string]string) *Slots {
	return &Slots{Dir: dir, Devices: devices, Places: places, steps: realSteps{}}
}

// place is where a file of a slot belongs.
func (s *Slots) place(slot Slot, name string) (path string, device bool, err error) {
	if path, ok := s.Devices[slot][name]; ok {
		return path, true, nil
	}
	if path, ok := s.Places[slot][name]; ok {
		return path, false, nil
	}
	if s.Dir == "" {
		return "", false, &manifest.Refusal{Reason: manifest.WrongBoard, What: "this board has no place for the update's file " + name, Remedy: "take the update for this board"}
	}
	return filepath.Join(s.Dir, string(slot), filepath.FromSlash(name)), false, nil
}

// room fails where the files do not fit in the slot.
func (s *Slots) room(slot Slot, files []manifest.Entry) error {
	need := map[string]int64{}
	for _, f := range files {
		path, device, err := s.place(slot, f.Name)
		if err != nil {
			return err
		}
		switch {
		case device:
			if n, err := deviceSize(path); err != nil {
				return err
			} else if n < f.Size {
				return fmt.Errorf("%s has %d bytes and %s needs %d: this board is to be flashed anew for that version", path, n, f.Name, f.Size)
			}
		case s.Places[slot][f.Name] != "":
			need[filepath.Dir(path)] += f.Size - sizeOf(path)
		default:
			need[s.Dir] += f.Size - freedBy(path)
		}
	}
	for dir, n := range need {
		if err := disk.CheckSpace(dir, max(n, 0)); err != nil {
			return err
		}
	}
	return nil
}

func sizeOf(path string) int64 {
	if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
		return st.Size()
	}
	return 0
}

// freedBy is how many bytes are free once a file of a slot is removed: none where it is a
// link to what a package has installed.
func freedBy(path string) int64 {
	if st, err := os.Lstat(path); err != nil || !st.Mode().IsRegular() {
		return 0
	}
	return sizeOf(path)
}

func deviceSize(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("%w: the card has no such partition: flash the board anew", err)
	}
	defer f.Close()
	return f.Seek(0, io.SeekEnd)
}

// fill writes the files to the slot, each from where it lies here, and reads them back.
// Errors wrap ErrDamaged, syscall.ENOSPC or the context's error.
func (s *Slots) fill(ctx context.Context, slot Slot, files []manifest.Entry, from []string, report func(step string, done, total int64)) error {
	if s.Dir != "" {
		if err := s.steps.remove(filepath.Join(s.Dir, string(slot))); err != nil {
			return err
		}
	}
	total, done := int64(0), int64(0)
	for _, f := range files {
		total += f.Size
	}
	for i, f := range files {
		if err := s.copy(ctx, slot, f, from[i], func(n int64) { report("write", done+n, total) }); err != nil {
			return err
		}
		done += f.Size
	}
	if err := s.verify(ctx, slot, files, report); err != nil || s.Check == nil {
		return err
	}
	return s.Check(ctx, filepath.Join(s.Dir, string(slot)))
}

func (s *Slots) copy(ctx context.Context, slot Slot, f manifest.Entry, from string, report func(int64)) error {
	path, device, err := s.place(slot, f.Name)
	if err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return disk.OpenError(from, err)
	}
	defer in.Close()
	mode := os.FileMode(0o644)
	if f.Executable {
		mode = 0o755
	}
	h := sha256.New()
	r := io.TeeReader(io.LimitReader(in, f.Size), io.MultiWriter(h, disk.Metered(ctx, io.Discard, report)))
	if err := s.steps.write(ctx, path, device, mode, r); err != nil {
		return disk.WriteError(path, err)
	}
	if hex.EncodeToString(h.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("%s: %w: fetch the update again", from, ErrDamaged)
	}
	return nil
}

// verify reads the files of a slot from the disk and compares them with what they should
// be. The error wraps ErrDamaged where they differ.
func (s *Slots) verify(ctx context.Context, slot Slot, files []manifest.Entry, report func(step string, done, total int64)) error {
	for _, f := range files {
		path, device, err := s.place(slot, f.Name)
		if err != nil {
			return err
		}
		in, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("%s: %w (%w): apply an update to write it anew", path, ErrDamaged, err)
		}
		size := sizeOf(path)
		sum, err := disk.HashReader(ctx, io.LimitReader(in, f.Size), func(n int64) { report("read back", n, f.Size) })
		in.Close()
		if err != nil {
			return err
		}
		if sum != f.SHA256 || !device && size != f.Size {
			return fmt.Errorf("%s: %w once it is read back: apply the update again, and replace the card if it stays so", path, ErrDamaged)
		}
	}
	return nil
}
