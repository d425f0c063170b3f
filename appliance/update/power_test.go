package update

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

var errPower = errors.New("the power is off")

// power does the steps to a directory, unsynced, until it is cut in the midst of one: what
// that leaves is what the comments of steps allow.
type power struct {
	rng  *rand.Rand
	left int // steps until the cut; negative for none
	done int
	off  bool
	// fat says of a path that its file system is a FAT.
	fat func(path string) bool
}

func (p *power) step(do func() error, torn func()) error {
	if p.off {
		return errPower
	}
	if p.left == 0 {
		p.off = true
		torn()
		return errPower
	}
	p.left--
	p.done++
	return do()
}

// either is true half of the time.
func (p *power) either() bool { return p.rng.IntN(2) == 0 }

func (p *power) overwrite(path string, data []byte) error {
	do := func(data []byte) error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt(data, 0)
		return err
	}
	return p.step(func() error { return do(data) }, func() {
		old, _ := os.ReadFile(path)
		for i := range old {
			if p.either() {
				old[i] = data[i]
			}
		}
		do(old)
	})
}

func (p *power) replace(path string, data []byte) error {
	do := func() error {
		if err := os.WriteFile(path+".tmp", data, 0o644); err != nil {
			return err
		}
		return os.Rename(path+".tmp", path)
	}
	return p.step(do, func() {
		switch {
		case p.fat(path):
			os.WriteFile(path, data[:p.rng.IntN(len(data))], 0o644)
		case p.either():
			do()
		default:
			os.WriteFile(path+".tmp", data[:p.rng.IntN(len(data))], 0o644)
		}
	})
}

func (p *power) rename(from, to string) error {
	return p.step(func() error { return os.Rename(from, to) }, func() {
		text, _ := os.ReadFile(from)
		switch kinds := 2 + 2*map[bool]int{true: 1}[p.fat(from)]; p.rng.IntN(kinds) {
		case 0:
		case 1:
			os.Rename(from, to)
		case 2:
			os.WriteFile(to, text, 0o644)
		case 3:
			os.Remove(from)
		}
	})
}

func (p *power) remove(path string) error {
	return p.step(func() error { return os.RemoveAll(path) }, func() {
		filepath.WalkDir(path, func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && p.either() {
				os.Remove(path)
			}
			return nil
		})
	})
}

func (p *power) symlink(target, path string) error {
	do := func() error {
		os.Remove(path + ".new")
		if err := os.Symlink(target, path+".new"); err != nil {
			return err
		}
		return os.Rename(path+".new", path)
	}
	return p.step(do, func() {
		switch p.rng.IntN(3) {
		case 0:
			do()
		case 1:
			os.Remove(path + ".new")
			os.Symlink(target, path+".new")
		}
	})
}

func (p *power) write(_ context.Context, path string, device bool, mode os.FileMode, r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	flags := os.O_WRONLY
	if !device {
		flags |= os.O_CREATE | os.O_TRUNC
	}
	do := func(data []byte) error {
		if !device {
			os.MkdirAll(filepath.Dir(path), 0o755)
		}
		f, err := os.OpenFile(path, flags, mode)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.Write(data)
		return err
	}
	return p.step(func() error { return do(data) }, func() {
		part := data[:p.rng.IntN(len(data)+1)]
		if rest := len(data) - len(part); rest > 0 && p.either() {
			part = append(part[:len(part):len(part)], strings.Repeat("\xff", p.rng.IntN(rest))...)
		}
		do(part)
	})
}
