// Command update makes the update of a program: a directory to be served or copied to a
// USB stick, and the same in one file. skerry update apply takes both, once they are signed
// with minisign; a key is read from $MINISIGN_KEY, its password from $MINISIGN_PASSWORD.
//
//	go run ./build/update -arch arm64 -bin build/out/arm64/bin -version 1.2.0 -dir build/out/update
//
// With -board and files named NAME=PATH it makes the update of an image's slot instead, with
// -bundle that of the model bundle, which has a version of its own.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/update"
	"skerry/appliance/update/install"
	"skerry/appliance/update/manifest"
	"skerry/appliance/update/publish"
)

func main() {
	arch := flag.String("arch", "arm64", "GOARCH of the program")
	bin := flag.String("bin", "", "directory of the program skerry and its kernels")
	board := flag.String("board", "", "kind of board of an image; the arguments are its files, NAME=PATH")
	model := flag.String("bundle", "", "directory of a model bundle, as skerry model split makes one")
	version := flag.String("version", "", "the program's version, or the bundle's")
	days := flag.Int("days", 365, "days after which the update expires")
	dir := flag.String("dir", "build/out/update", "directory of updates")
	newKey := flag.String("newkey", "", "only make a key without a password, in this file, and print the public one")
	flag.Parse()
	if *newKey != "" {
		public, err := publish.NewKey(*newKey)
		if err != nil {
			fmt.Fprintln(os.Stderr, "update:", err)
			os.Exit(1)
		}
		fmt.Println(public)
		return
	}
	if err := run(*arch, *bin, *board, *model, *version, *dir, *days, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "update:", err)
		os.Exit(1)
	}
}

func run(arch, bin, board, model, version, dir string, days int, images []string) error {
	// As reproducible-builds.org has it: seconds since 1970.
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH is no time: set it to the commit's, as git log -1 --format=%%ct says")
	}
	v, known := manifest.BuiltVersion(version)
	if !known {
		return fmt.Errorf("%q begins with no version of the form 1.4.0: tag the commit, as git tag v1.4.0", version)
	}
	var key publish.Key
	if path := os.Getenv("MINISIGN_KEY"); path != "" {
		if key, err = publish.ReadKey(path, os.Getenv("MINISIGN_PASSWORD")); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(os.Stderr, "update: not signed, as MINISIGN_KEY is not set: no board will take it")
	}
	at := time.Unix(seconds, 0).UTC()
	m := manifest.Manifest{Kind: manifest.Program, Version: v, Board: "any", Arch: arch, Created: at, Expires: at.AddDate(0, 0, days)}
	name := cmp.Or(board, arch)
	var files []publish.File
	switch {
	case model != "":
		m.Kind, m.Arch, name = manifest.Bundle, "any", "bundle"
		files, err = bundleFiles(model)
	case board != "":
		m.Kind, m.Board = manifest.System, board
		files, err = imageFiles(images)
	default:
		files, err = programFiles(bin)
	}
	if err != nil {
		return err
	}
	to := filepath.Join(dir, name)
	archive := filepath.Join(dir, fmt.Sprintf("skerry-%s-%s%s", v, filepath.Base(to), update.ArchiveSuffix))
	if err := publish.Write(context.Background(), to, archive, m, files, key); err != nil {
		return err
	}
	fmt.Println(to)
	fmt.Println(archive)
	return nil
}

// programFiles are the program and its kernels, each under the name by which it is linked:
// a manifest has files alone, no links.
func programFiles(bin string) ([]publish.File, error) {
	found, err := filepath.Glob(filepath.Join(bin, "kernels", "libggml-*.so*"))
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("%s has no kernel libraries: make cross", bin)
	}
	files := []publish.File{{Name: "skerry", From: filepath.Join(bin, "skerry"), Executable: true}}
	for _, path := range found {
		name := filepath.Base(path)
		_, version, versioned := strings.Cut(name, ".so.")
		_, err := os.Readlink(path)
		// Of libx.so -> libx.so.0 -> libx.so.0.0.0 the middle one is what is linked.
		if isLink := err == nil; !versioned && isLink || versioned && strings.Contains(version, ".") {
			continue
		}
		files = append(files, publish.File{Name: "kernels/" + name, From: path})
	}
	return files, nil
}

// bundleFiles are those of a bundle, in a directory of their own.
func bundleFiles(dir string) (files []publish.File, err error) {
	if _, err := bundle.ReadManifest(dir); err != nil {
		return nil, fmt.Errorf("%w: -bundle is the directory of a bundle, as skerry model split makes one", err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files = append(files, publish.File{Name: install.BundleDir + "/" + filepath.ToSlash(name), From: path})
		return err
	})
	return files, err
}

func imageFiles(args []string) (files []publish.File, err error) {
	for _, arg := range args {
		name, path, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not NAME=PATH", arg)
		}
		files = append(files, publish.File{Name: name, From: path})
	}
	return files, nil
}
