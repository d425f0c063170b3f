package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"skerry/appliance/bundle"
	"skerry/appliance/status"
)

// bundleDir is where the model is, or will be.
func (d *doctor) bundleDir() (string, error) {
	if d.conf.Bundle != "" {
		return d.conf.Bundle, nil
	}
	cache, err := bundle.CacheDir()
	if err != nil {
		return "", err
	}
	return defaultBundleDir(cache), nil
}

// weights of the stages that this board computes, 0 where they are not known.
func (d *doctor) weights() (n uint64) {
	dir, err := d.bundleDir()
	if err != nil {
		return 0
	}
	m, err := bundle.ReadManifest(dir)
	if err != nil {
		return 0
	}
	for _, s := range m.Stages {
		if strings.HasPrefix(string(s.Role), "board") {
			n += uint64(s.Bytes)
		}
	}
	return n
}

func (d *doctor) model() {
	if d.status != nil {
		d.loadedModel(*d.status)
		return
	}
	dir, err := d.bundleDir()
	if err != nil {
		d.fail("model", oneLine(err), "set SKERRY_CACHE to a directory that this user may write")
		return
	}
	m, err := bundle.ReadManifest(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.warn("model", "none is prepared", "nothing: the daemon fetches and prepares the default model when it starts")
		return
	case err != nil:
		d.fail("model", oneLine(err), "skerry model verify "+dir)
		return
	}
	for _, s := range m.Stages {
		fi, err := os.Stat(filepath.Join(dir, s.File))
		if err == nil && fi.Size() == s.Bytes || errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(string(s.Role), "board") {
			continue
		}
		d.fail("model", fmt.Sprintf("%s of %s is missing or cut", s.File, dir), "remove the directory: it is prepared again")
		return
	}
	d.ok("model", "%s, %d blocks, exits after %v", m.Name, m.Blocks, m.Exits)
}

func (d *doctor) loadedModel(s status.Status) {
	switch {
	case s.Model != nil:
		d.ok("model", "%s is loaded, context %d, %d at once", s.Model.Name, s.Model.Context, s.Model.Parallel)
	case s.State == status.NoModel:
		d.fail("model", "none can be loaded", "see health below, and skerry status")
	default:
		d.warn("model", fmt.Sprintf("not loaded yet: the daemon is %s", s.State), "wait for it; skerry status --watch shows how far it is")
	}
}
