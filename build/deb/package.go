package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // the packager
	"github.com/goreleaser/nfpm/v2/files"
)

// Package is what a Debian package of Skerry is made of.
type Package struct {
	Arch    string    // Debian's name, as "arm64"
	Version string    // Debian's form
	Bin     string    // directory of skerry and kernels/*.so
	Root    string    // the repository, for unit files and scripts
	Time    time.Time // of every file in it
}

const description = `runs a large language model on a board and in the cloud at once
 The board runs the first blocks of a model and says a token itself where an
 early exit is confident; otherwise a cloud partition finishes the pass. The
 kernels for this processor are chosen at run time.`

// WriteFile writes the package to path.
func (p Package) WriteFile(path string) error {
	work, err := os.MkdirTemp("", "skerry-deb")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	info, err := p.info(work)
	if err != nil {
		return err
	}
	if err := nfpm.PrepareForPackager(info, "deb"); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	packager, err := nfpm.Get("deb")
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = errors.Join(packager.Package(info, f), f.Close())
	if err != nil {
		os.Remove(path)
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// info describes the package to nfpm; generated files go into work.
func (p Package) info(work string) (*nfpm.Info, error) {
	// A link would be packed as one.
	program, err := filepath.EvalSymlinks(filepath.Join(p.Bin, "skerry"))
	if err != nil {
		return nil, fmt.Errorf("%w: make cross", err)
	}
	contents, binaries, err := p.kernels()
	if err != nil {
		return nil, err
	}
	depends, err := dependencies(append(binaries, program))
	if err != nil {
		return nil, err
	}
	licences := filepath.Join(work, "copyright")
	if err := writeLicences(licences, filepath.Join(p.Root, "NOTICE"), program); err != nil {
		return nil, err
	}
	contents = append(contents,
		p.file(program, "/usr/bin/skerry", 0o755),
		p.file(filepath.Join(p.Root, "systemd", "skerry-cloud.service"), "/usr/lib/systemd/system/skerry-cloud.service", 0o644),
		p.file(licences, "/usr/share/doc/skerry/copyright", 0o644))
	script := func(name string) string { return filepath.Join(p.Root, "build", "deb", name) }
	return nfpm.WithDefaults(&nfpm.Info{
		Name: "skerry", Arch: p.Arch, Platform: "linux", Version: p.Version, VersionSchema: "none", MTime: p.Time,
		Section: "net", Priority: "optional", Maintainer: "The Skerry authors <skerry@localhost>", Description: description,
		DisableGlobbing: true,
		Overridables: nfpm.Overridables{
			Depends: depends, Suggests: []string{"python3-pip"}, Contents: contents,
			Scripts: nfpm.Scripts{PostInstall: script("postinst.sh"), PreRemove: script("prerm.sh"), PostRemove: script("postrm.sh")},
		},
	}), nil
}

// kernels lists the libraries, and the links among them as links.
func (p Package) kernels() (contents files.Contents, paths []string, err error) {
	found, err := filepath.Glob(filepath.Join(p.Bin, "kernels", "libggml-*.so*"))
	if err != nil || len(found) == 0 {
		return nil, nil, fmt.Errorf("%s has no kernel libraries: make cross", p.Bin)
	}
	for _, path := range found {
		name := filepath.Base(path)
		to := "/usr/lib/skerry/kernels/" + name
		if link, err := os.Readlink(path); err == nil {
			// The one without a version is for linking only.
			if !strings.HasSuffix(name, ".so") {
				c := p.file(link, to, 0o777)
				c.Type = files.TypeSymlink
				contents = append(contents, c)
			}
			continue
		}
		contents, paths = append(contents, p.file(path, to, 0o644)), append(paths, path)
	}
	return contents, paths, nil
}

func (p Package) file(from, to string, mode os.FileMode) *files.Content {
	return &files.Content{Source: from, Destination: to, FileInfo: &files.ContentFileInfo{Mode: mode, Owner: "root", Group: "root", MTime: p.Time}}
}
