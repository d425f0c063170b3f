package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/library"
	"skerry/appliance/status"
)

// bundleDir is where the model is, or will be.
func (d *Doctor) bundleDir() (string, error) {
	if d.conf.Model != "" {
		if l, err := library.Open(d.conf.Bundle); err == nil {
			if m, err := l.Find(d.conf.Model); err == nil {
				return m.Dir, nil
			}
		}
	}
	if d.conf.Bundle != "" {
		return d.conf.Bundle, nil
	}
	cache, err := fetch.CacheDir()
	if err != nil {
		return "", err
	}
	return prepare.DefaultDir(cache), nil
}

// weights of the stages that this board computes, 0 where they are not known.
func (d *Doctor) weights() (n uint64) {
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

func (d *Doctor) model(context.Context) Findings {
	if d.status != nil {
		return loadedModel(*d.status)
	}
	dir, err := d.bundleDir()
	if err != nil {
		return fail(status.OneLine(err), "set SKERRY_CACHE to a directory that this user may write")
	}
	m, err := bundle.ReadManifest(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return warn("none is prepared", "nothing: the daemon fetches and prepares the default model when it starts")
	case err != nil:
		return fail(status.OneLine(err), "skerry model verify "+dir)
	}
	for _, s := range m.Stages {
		fi, err := os.Stat(filepath.Join(dir, s.File))
		if err == nil && fi.Size() == s.Bytes || errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(string(s.Role), "board") {
			continue
		}
		return fail(fmt.Sprintf("%s of %s is missing or cut", s.File, dir), "remove the directory: it is prepared again")
	}
	return pass("%s, %d blocks, exits after %v", m.Name, m.Blocks, m.Exits)
}

func loadedModel(s status.Status) Findings {
	switch {
	case s.Model != nil:
		return pass("%s is loaded, context %d, %d at once", s.Model.Name, s.Model.Context, s.Model.Parallel)
	case s.State == status.NoModel:
		return fail("none can be loaded", "see health below, and skerry status")
	default:
		return warn(fmt.Sprintf("not loaded yet: the daemon is %s", s.State), "wait for it; skerry status --watch shows how far it is")
	}
}
