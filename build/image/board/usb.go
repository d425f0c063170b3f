package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
)

// bundles is where models are; current leads to the one that is used.
const bundles = kept + "/bundles"

// bundleKeys are in the manifest of every bundle.
var bundleKeys = []string{"format", "architecture", "blocks", "stages"}

// mostManifest is the most bytes of a bundle's manifest that are looked at.
const mostManifest = 16 << 20

// usb mounts a stick, read-only, and takes over the models that are on it.
func (b *board) usb(device string) error {
	at := b.path(filepath.Join("/media", filepath.Base(device)))
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if _, err := b.run(false, "/usr/bin/mount", "-o", "ro,nosuid,nodev,noexec", device, at); err != nil {
		return err
	}
	found := findBundles(at)
	for _, dir := range found {
		if err := b.adopt(dir); err != nil {
			b.show(fmt.Sprintf("\nThe model %s on the USB stick was not taken: %v\n", filepath.Base(dir), err))
		}
	}
	return nil
}

// findBundles are the directories with a bundle at the top of a stick, and one below.
func findBundles(at string) (list []string) {
	for _, pattern := range []string{"manifest.json", "*/manifest.json", "*/*/manifest.json"} {
		found, _ := filepath.Glob(filepath.Join(at, pattern)) // the patterns are good
		for _, path := range found {
			if dir := filepath.Dir(path); isBundle(dir) {
				list = append(list, dir)
			}
		}
	}
	slices.Sort(list)
	return list
}

// isBundle says whether a directory is a model's, and not an update's, whose manifest has the
// same name and a signature beside it, nor the bundle within one, which skerry update apply
// tries first.
func isBundle(dir string) bool {
	for _, of := range []string{dir, filepath.Dir(dir)} {
		if _, err := os.Stat(filepath.Join(of, "manifest.json.minisig")); err == nil {
			return false
		}
	}
	f, err := os.Open(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostManifest+1))
	return err == nil && len(text) <= mostManifest && looksLikeBundle(text)
}

// looksLikeBundle says whether text is the manifest of a bundle; whether it is whole,
// skerry model verify says.
func looksLikeBundle(text []byte) bool {
	var m map[string]json.RawMessage
	if json.Unmarshal(text, &m) != nil {
		return false
	}
	for _, key := range bundleKeys {
		if _, ok := m[key]; !ok {
			return false
		}
	}
	return true
}

var aName = regexp.MustCompile(`[^A-Za-z0-9._-]`)

// adopt verifies a bundle, copies it beside those that are there, and has the daemon use
// it. After a power cut it is there whole, or the one before is.
func (b *board) adopt(dir string) error {
	name := aName.ReplaceAllString(filepath.Base(dir), "-")
	if name == "" || name[0] == '.' || name == "current" {
		name = "model" + name
	}
	to := b.path(filepath.Join(bundles, name))
	if same(filepath.Join(dir, "manifest.json"), filepath.Join(to, "manifest.json")) {
		return b.use(name)
	}
	size, err := sizeOf(dir)
	if err != nil {
		return err
	}
	if free, err := freeOf(b.path(kept)); err == nil && free < size+64<<20 {
		return fmt.Errorf("it has %d MB, and %d MB are free on the card", size/1e6, free/1e6)
	}
	b.show(fmt.Sprintf("\nFound the model %s on the USB stick: it is checked, and %d MB are copied ...\n", name, size/1e6))
	aside := b.path(filepath.Join(bundles, ".new"))
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := copyTree(dir, aside); err != nil {
		return fmt.Errorf("copying it: %w", err)
	}
	// The copy is what is checked: sticks read wrongly, too.
	if _, err := b.run(false, "/usr/bin/skerry", "model", "verify", aside); err != nil {
		return errors.Join(err, os.RemoveAll(aside))
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.Rename(aside, to); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(to)); err != nil {
		return err
	}
	return b.use(name)
}

// use has the daemon load a bundle, if it is not the one that is in use.
func (b *board) use(name string) error {
	current := b.path(filepath.Join(bundles, "current"))
	if is, err := os.Readlink(current); err == nil && is == name {
		b.show(fmt.Sprintf("\nThe model %s of the USB stick is in use already.\n", name))
		return nil
	}
	aside := current + ".new"
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(name, aside); err != nil {
		return err
	}
	if err := os.Rename(aside, current); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(current)); err != nil {
		return err
	}
	b.show(fmt.Sprintf("\nThe model %s is used from now on; the stick may be taken out.\n", name))
	_, err := b.run(false, "/usr/bin/systemctl", "restart", "--no-block", "skerry.service")
	return err
}

func same(a, b string) bool {
	x, err := os.ReadFile(a)
	if err != nil {
		return false
	}
	y, err := os.ReadFile(b)
	return err == nil && bytes.Equal(x, y)
}

func sizeOf(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

func freeOf(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// copyTree copies the plain files of a directory and syncs each.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		return errors.Join(err, out.Sync(), out.Close())
	})
}
