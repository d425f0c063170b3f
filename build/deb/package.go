package main

import (
	"cmp"
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
	Name    string    // of one of parts, or cudaName
	Arch    string    // Debian's name, as "arm64"
	Version string    // Debian's form
	Bin     string    // directory of skerry and kernels/*.so
	Docs    string    // directory of the man pages and completions
	CUDA    string    // directory of the libraries for GPUs, as make cuda writes it
	Root    string    // the repository, for unit files and scripts
	Time    time.Time // of every file in it
	// Compression is gzip, xz, zstd or none; "" is what is delivered.
	Compression string
}

// compression of what is delivered: a third smaller than gzip; what zstd saves in time
// it costs in size, and Debian's own tools do not take it.
const compression = "xz"

// maintainer as Debian has it: an address is wanted, and this one is nobody's.
const maintainer = "The Skerry authors <skerry@example.org>"

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
	if p.Name == cudaName {
		return p.cuda(work)
	}
	part, ok := parts[p.Name]
	if !ok {
		return nil, fmt.Errorf("there is no package %q", p.Name)
	}
	// A link would be packed as one.
	program, err := filepath.EvalSymlinks(filepath.Join(p.Bin, "skerry"))
	if err != nil {
		return nil, fmt.Errorf("%w: make cross", err)
	}
	contents, binaries, err := p.kernels(part.kernels)
	if err != nil {
		return nil, err
	}
	depends, err := dependencies(append(binaries, program))
	if err != nil {
		return nil, err
	}
	documents, err := p.documents(work, func(path string) error { return writeLicences(path, program) })
	if err != nil {
		return nil, err
	}
	contents = append(append(contents, p.file(program, part.program, 0o755)), documents...)
	for to, target := range part.links {
		contents = append(contents, p.link(target, to))
	}
	for _, f := range part.files {
		contents = append(contents, p.installed(f))
	}
	script := func(name string) string { return filepath.Join(p.Root, "build", "deb", "scripts", p.Name, name) }
	return nfpm.WithDefaults(&nfpm.Info{
		Name: p.Name, Arch: p.Arch, Platform: "linux", Version: p.Version, VersionSchema: "none", MTime: p.Time,
		Section: "net", Priority: "optional", Maintainer: maintainer, Description: part.text(),
		DisableGlobbing: true,
		Overridables: nfpm.Overridables{
			Depends: append(depends, "systemd (>= 249)"), Suggests: part.suggests, Contents: contents,
			Deb:     nfpm.Deb{Compression: cmp.Or(p.Compression, compression)},
			Scripts: nfpm.Scripts{PostInstall: script("postinst.sh"), PreRemove: script("prerm.sh"), PostRemove: script("postrm.sh")},
		},
	}), nil
}

// text of the description as the control file has it.
func (p part) text() string {
	return p.summary + "\n " + strings.ReplaceAll(p.description, "\n", "\n ")
}

// documents every package has: its licence and the notice, the licences of what is linked in, which
// licences writes, and a changelog.
func (p Package) documents(work string, licences func(path string) error) (files.Contents, error) {
	licence, err := os.ReadFile(filepath.Join(p.Root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	notice, err := os.ReadFile(filepath.Join(p.Root, "NOTICE"))
	if err != nil {
		return nil, err
	}
	dir := "/usr/share/doc/" + p.Name + "/"
	copyright := filepath.Join(work, "copyright")
	text := fmt.Sprintf("%s\n%s\nThe licences of Go and of every module, in full: %smodules.gz\nThe Apache License 2.0 is in /usr/share/common-licenses/Apache-2.0 on Debian.\n", licence, notice, dir)
	if err := os.WriteFile(copyright, []byte(text), 0o644); err != nil {
		return nil, err
	}
	modules := filepath.Join(work, "modules.gz")
	if err := licences(modules); err != nil {
		return nil, err
	}
	changes := filepath.Join(work, "changelog.gz")
	if err := p.writeChangelog(changes); err != nil {
		return nil, err
	}
	return files.Contents{p.file(copyright, dir+"copyright", 0o644), p.file(modules, dir+"modules.gz", 0o644), p.file(changes, dir+"changelog.gz", 0o644)}, nil
}

// installed is one file of a part.
func (p Package) installed(f source) *files.Content {
	from := filepath.Join(p.Root, f.from)
	if name, ok := strings.CutPrefix(f.from, "docs/"); ok {
		from = filepath.Join(p.Docs, name)
	}
	c := p.file(from, f.to, 0o644)
	if f.config {
		c.Type = files.TypeConfigNoReplace
	}
	return c
}

// kernels lists the libraries, and the links among them as links.
func (p Package) kernels(dir string) (contents files.Contents, paths []string, err error) {
	found, err := filepath.Glob(filepath.Join(p.Bin, "kernels", "libggml-*.so*"))
	if err != nil || len(found) == 0 {
		return nil, nil, fmt.Errorf("%s has no kernel libraries: make cross", p.Bin)
	}
	for _, path := range found {
		name := filepath.Base(path)
		to := dir + name
		if link, err := os.Readlink(path); err == nil {
			// The one without a version is for linking only.
			if !strings.HasSuffix(name, ".so") {
				contents = append(contents, p.link(link, to))
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

func (p Package) link(target, to string) *files.Content {
	c := p.file(target, to, 0o777)
	c.Type = files.TypeSymlink
	return c
}
