// Package prepare makes the bundle that a user names ready to be opened: it fetches and
// splits the default model, splits a GGUF, and knows where in the cache the bundles lie.
package prepare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/parity"
	"skerry/appliance/bundle/split"
)

// Step is told how far the work is: done of total bytes or steps, total 0 where that is
// not known.
type Step = func(what string, done, total int64)

// ErrNoDefault says that the default model could not be fetched.
var ErrNoDefault = errors.New("the default model is not to be had")

// Version names the directories of the bundles that are made here; it goes up when Split
// makes something else of the same source.
const Version = 1

// Split makes a bundle of a GGUF in dir, and checks it against the whole model. A draft in
// the options may be what package fetch takes, too.
func Split(ctx context.Context, src, dir string, o split.Options, step Step) (_ *bundle.Manifest, err error) {
	if o.Draft != "" {
		name := ""
		if o.Draft, name, err = Draft(ctx, o.Draft, step); err != nil {
			return nil, err
		}
		o.DraftName = cmp.Or(o.DraftName, name)
	}
	o.Progress, o.Parity, o.Quantizer = step, parity.Check, parity.Quantize
	return split.Model(ctx, src, dir, o)
}

// Draft returns the file and the name of a draft model that a user names: a GGUF, or what
// package fetch knows or finds on a hub, which is then fetched. The name is "" for a file.
func Draft(ctx context.Context, ref string, step Step) (path, name string, err error) {
	if _, err := os.Stat(ref); err == nil {
		return ref, "", nil
	}
	if !fetch.IsHub(ref) && (strings.ContainsRune(ref, filepath.Separator) || strings.HasSuffix(ref, ".gguf")) {
		path, err := fetch.FromFile(ref) // which says that it is not there
		return path, "", err
	}
	path, err = fetch.Model(ctx, ref, fetch.Options{Progress: step})
	known, _ := fetch.Known(ref)
	return path, known, err
}

// Path returns the directory of the bundle that is meant by what a user gave as one:
// itself, or, for a GGUF with make set, the bundle in the cache that is made of it, once.
// Without make a GGUF is an error that says how to go on.
func Path(ctx context.Context, path string, make bool, step Step) (string, error) {
	switch {
	case !bundle.IsGGUF(path):
		return path, nil
	case !make:
		return "", fmt.Errorf("%s is a GGUF and %w: add --split to have one made of it, once, or make one with `skerry model split`", path, bundle.ErrNotBundle)
	}
	dir, err := splitDir(ctx, path, step)
	if err != nil {
		return "", err
	}
	if made, err := isMade(dir); made || err != nil {
		return dir, err
	}
	_, err = Split(ctx, path, dir, split.Options{}, step)
	return dir, err
}

// isMade reports whether there is a bundle in dir.
func isMade(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, bundle.ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// splitDir is where the bundle of a GGUF lies in the cache: under the file's name and
// its sha256, so that another model of the same name has a bundle of its own.
func splitDir(ctx context.Context, path string, step Step) (string, error) {
	cache, err := fetch.CacheDir()
	if err != nil {
		return "", err
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	sum, err := disk.HashFile(ctx, path, func(done int64) { step("hash the model", done, st.Size()) })
	if err != nil {
		return "", err
	}
	dir := Dir(cache, strings.TrimSuffix(filepath.Base(path), ".gguf"), sum)
	return dir, os.MkdirAll(filepath.Dir(dir), 0o755)
}

// Dir is where in a cache directory the bundle of a model lies that is called so, and whose
// file has that sha256, in hex.
func Dir(cache, name, sha256 string) string {
	return filepath.Join(cache, "bundles", fmt.Sprintf("%s-%.12s-%d", FileName(name), sha256, Version))
}

// FileName keeps of a name what the name of a file may have everywhere.
func FileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_' {
			return r
		}
		return '_'
	}, name[:min(len(name), 40)])
}

// Default returns the directory of the default model's bundle, fetched and split if need
// be, with the fitted exit heads that the program carries unless it has others. Its errors
// wrap ErrNoDefault where the model cannot be fetched.
func Default(ctx context.Context, fetching, splitting Step) (string, error) {
	cache, err := fetch.CacheDir()
	if err != nil {
		return "", err
	}
	dir := DefaultDir(cache)
	if made, err := isMade(dir); err != nil {
		return dir, err
	} else if made {
		return dir, tryHeads(ctx, dir)
	}
	// Until the bundle is there, nothing else says that the fetched file is needed.
	release, err := disk.WaitUse(ctx, filepath.Join(cache, "models", fetch.Sum(fetch.DefaultName)))
	if err != nil {
		return "", err
	}
	defer release()
	src, err := fetch.Model(ctx, "", fetch.Options{Progress: fetching})
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoDefault, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	if _, err = Split(ctx, src, dir, split.Options{}, splitting); err != nil {
		return dir, err
	}
	return dir, tryHeads(ctx, dir)
}

// DefaultDir is where the default model's bundle is in the cache, prepared or not.
func DefaultDir(cache string) string {
	return filepath.Join(cache, "bundles", fmt.Sprintf("%s-%d", fetch.DefaultName, Version))
}

// Dirs are the directories of the bundles of a cache directory; one whose name begins with a
// dot is in the making, or on its way out.
func Dirs(cache string) (dirs []string) {
	found, _ := filepath.Glob(filepath.Join(disk.GlobEscape(cache), "bundles", "[^.]*", bundle.ManifestFile))
	for _, f := range found {
		dirs = append(dirs, filepath.Dir(f))
	}
	return dirs
}
