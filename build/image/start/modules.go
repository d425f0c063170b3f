package main

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// modules are the kernel modules of the initrd.
type modules struct {
	dir    string
	paths  map[string]string   // by name, with _ for -
	needs  map[string][]string // names, by name
	alias  []alias
	loaded map[string]bool
	tried  map[string]bool // aliases of devices that were looked up
	insert func(path string) error
}

// alias is a pattern of devices, and the module that drives them.
type alias struct{ pattern, name string }

func nameOf(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(path.Base(file), ".ko"), "-", "_")
}

// openModules reads the lists dep and alias, which the builder of the image has written.
func openModules(dir string) (*modules, error) {
	dep, err := os.ReadFile(filepath.Join(dir, "dep"))
	if err != nil {
		return nil, err
	}
	aliases, err := os.ReadFile(filepath.Join(dir, "alias"))
	if err != nil {
		return nil, err
	}
	m := &modules{dir: dir, paths: map[string]string{}, needs: map[string][]string{}, loaded: map[string]bool{}, tried: map[string]bool{}, insert: insert}
	m.parse(string(dep), string(aliases))
	return m, nil
}

func (m *modules) parse(dep, aliases string) {
	for line := range strings.Lines(dep) {
		file, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		m.paths[nameOf(file)] = file
		for _, need := range strings.Fields(rest) {
			m.needs[nameOf(file)] = append(m.needs[nameOf(file)], nameOf(need))
		}
	}
	for line := range strings.Lines(aliases) {
		if f := strings.Fields(line); len(f) == 2 {
			m.alias = append(m.alias, alias{f[0], nameOf(f[1])})
		}
	}
}

// insert gives a module to the kernel.
func insert(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

// load loads a module and first what it needs. One that is there already is no error, and
// one that is built in is not found.
func (m *modules) load(name string) error {
	if m.loaded[name] {
		return nil
	}
	m.loaded[name] = true // also where it fails: it is not tried again
	file, ok := m.paths[name]
	if !ok {
		return fs.ErrNotExist
	}
	for _, need := range m.needs[name] {
		if err := m.load(need); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := m.insert(filepath.Join(m.dir, file)); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// drive loads the modules of all devices below sys that no module was looked for yet.
// Those that they bring, as the disks of a controller, are there at the next call.
func (m *modules) drive(sys string) {
	filepath.WalkDir(sys, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "modalias" || d.IsDir() {
			return nil // devices come and go
		}
		text, err := os.ReadFile(path)
		if device := strings.TrimSpace(string(text)); err == nil && !m.tried[device] {
			m.tried[device] = true
			for _, name := range m.drivers(device) {
				m.load(name)
			}
		}
		return nil
	})
}

// drivers are the modules for a device.
func (m *modules) drivers(device string) (names []string) {
	for _, a := range m.alias {
		if matches(a.pattern, device) {
			names = append(names, a.name)
		}
	}
	return names
}

// matches is fnmatch with * ? and [a-z] over any characters, as modprobe has it.
func matches(pattern, s string) bool {
	// path.Match has * stop at slashes.
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x01"), strings.ReplaceAll(s, "/", "\x01"))
	return ok && err == nil
}
