package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// recipe is the version of what this program makes of its inputs: count it up with a change
// of the code that changes the parts.
const recipe = 7

// makeParts makes what an image and an update are put together from: the root file system,
// the kernel with its initrd, the loader, and the list of packages. They are kept in the
// cache under a name that comes from everything that they are made of.
func makeParts(ctx context.Context, b board, o options, work string, all []deb) (dir string, err error) {
	for _, name := range []string{"start", "board"} {
		if err := program(ctx, "./build/image/"+name, filepath.Join(work, name)); err != nil {
			return "", err
		}
	}
	key, err := partsKey(b, o, work, all)
	if err != nil {
		return "", err
	}
	dir = filepath.Join(o.cache, "image", "parts", b.name+"-"+key)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	if err := assemble(ctx, work, b, o, all); err != nil {
		return "", err
	}
	root, made := filepath.Join(work, "root"), filepath.Join(work, "parts")
	if err := os.MkdirAll(made, 0o755); err != nil {
		return "", err
	}
	if err := b.unite(ctx, root, work, made, b); err != nil {
		return "", err
	}
	doc, err := spdx(b, o, root, all)
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return "", err
	}
	if err := write(filepath.Join(made, "spdx.json"), append(text, '\n'), 0o644); err != nil {
		return "", err
	}
	say("packing the root")
	if err := makeEROFS(ctx, filepath.Join(made, "root.erofs"), root, o.epoch); err != nil {
		return "", err
	}
	if err := os.Rename(made, dir); err == nil {
		return dir, nil
	}
	// The cache is on another file system, or another build was faster.
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	return made, nil
}

// partsKey is a name for everything that the parts are made of.
func partsKey(b board, o options, work string, all []deb) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, recipe, b.name, b.cmdline, b.installed, string(flagSource), piConfig, o.version, o.epoch, accounts, enabled, masked, wanted, unneeded, unneededPaths, unneededModules, bootModules)
	for _, d := range all {
		fmt.Fprintln(h, d.Name, d.Version)
	}
	for _, path := range []string{o.deb, filepath.Join(work, "start"), filepath.Join(work, "board")} {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", err
		}
	}
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n%s", path, len(text), text)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}
