package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"skerry/appliance/update"
	"skerry/appliance/update/manifest"
	"skerry/appliance/update/publish"
	"skerry/build/deb/debian"
	"skerry/build/homeassistant"
)

// release is what is to be written.
type release struct {
	version string
	arches  []string  // Debian's names, of packages
	at      time.Time // of the commit
	from    string    // directory of what was built
	keys    keys
	now     func() time.Time
	starter func(goarch string) ([]byte, error) // as homeassistant.Starter

	number  manifest.Version
	files   []file   // in the order of the notes
	missing []string // what was not built, as sentences
}

// file is one file or directory of the release.
type file struct{ name, what string }

// Names in the directory.
const (
	sumsFile  = "SHA256SUMS"
	keyFile   = "skerry.pub"
	installer = "install.sh"
	notesFile = "RELEASE.md"
)

// shelfLife is how long an update of an image may be applied, as build/update has it for
// programs.
const shelfLife = 365 * 24 * time.Hour

// write writes the release into a directory beside dir, which it then takes the place of.
func (r *release) write(dir string) error {
	var known bool
	if r.number, known = manifest.BuiltVersion(r.version); !known {
		return fmt.Errorf("%q begins with no version of the form 1.4.0: tag the commit, as git tag v1.4.0", r.version)
	}
	dir = filepath.Clean(dir) // what ends in a slash would have the new one in itself
	fresh := dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.MkdirAll(fresh, 0o755); err != nil {
		return err
	}
	for _, step := range []func(string) error{r.installer, r.packages, r.containers, r.homeAssistant, r.images, r.updates, r.notes, r.sums} {
		if err := step(fresh); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}

// installer writes the script with the key in it, and the key.
func (r *release) installer(dir string) error {
	text, err := os.ReadFile("build/install.sh")
	if err != nil {
		return err
	}
	filled := strings.Replace(string(text), "@KEY@", r.keys.sums.Public(), 1)
	if url := os.Getenv("RELEASE_URL"); url != "" {
		filled = strings.Replace(filled, "@URL@", strings.TrimSuffix(url, "/"), 1)
	}
	r.files = append(r.files, file{installer, "installs the package for a board, signature checked: `sudo sh install.sh`"})
	if err := os.WriteFile(filepath.Join(dir, installer), []byte(filled), 0o755); err != nil {
		return err
	}
	comment := "untrusted comment: minisign public key of Skerry's releases\n"
	if r.keys.throwAway != "" {
		comment = "untrusted comment: THROW-AWAY key of a trial, not to be trusted\n"
	}
	r.files = append(r.files, file{keyFile, "the public key of the sums and the updates, for minisign"})
	return os.WriteFile(filepath.Join(dir, keyFile), []byte(comment+r.keys.sums.Public()+"\n"), 0o644)
}

// packages copies those of this version, and writes the index of them.
func (r *release) packages(dir string) error {
	number := debian.Version(r.version, r.at)
	for name, what := range map[string]string{"skerry": "the appliance", "skerry-cloud": "the cloud partition", "skerry-cuda": "the kernels for GPUs"} {
		for _, arch := range r.arches {
			deb := fmt.Sprintf("%s_%s_%s.deb", name, number, arch)
			err := r.take(dir, filepath.Join(r.from, deb), deb, "the package of "+what+" for "+arch)
			if errors.Is(err, fs.ErrNotExist) && name == "skerry-cuda" { // which takes hours to build
				continue
			}
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%w: make deb, at this commit", err)
			}
			if err != nil {
				return err
			}
		}
	}
	slices.SortFunc(r.files[2:], func(a, b file) int { return strings.Compare(a.name, b.name) })
	r.files = append(r.files,
		file{"InRelease", "with `Release`, `Release.gpg`, `Packages` and `Packages.gz`: the index of an apt repository, which this directory is"},
		file{archiveKeyFile, "the repository's public key, for apt's Signed-By"})
	return index(dir, number, r.at, r.now(), r.keys.apt)
}

// containers copies the archives of images.
func (r *release) containers(dir string) error {
	for _, name := range []string{"skerry", "skerry-cloud"} {
		for _, arch := range r.arches {
			to := fmt.Sprintf("%s-container_%s_%s.tar", name, r.version, arch)
			err := r.take(dir, filepath.Join(r.from, "oci", name+"_"+arch+".tar"), to, "the container image of "+name+" for "+arch+", for docker load and podman load")
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%w: make oci", err)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// homeAssistant makes the add-on that runs the container.
func (r *release) homeAssistant(dir string) error {
	a := &homeassistant.AddOn{Version: r.version, Images: filepath.Join(r.from, "oci", "skerry"), Changelog: changelog, Starter: r.starter}
	if err := a.Write(filepath.Join(dir, "homeassistant")); err != nil {
		return err
	}
	r.files = append(r.files, file{"homeassistant/", "a repository of Home Assistant's, with an add-on that runs the container: `homeassistant/skerry/DOCS.md`"})
	return nil
}

// images copies those that were built of this version, and makes the updates to them.
func (r *release) images(dir string) error {
	for _, b := range [][2]string{{"pi", "Raspberry Pi 4 and 5"}, {"uefi", "arm64 boards with UEFI"}} {
		board, what := b[0], b[1]
		name := fmt.Sprintf("skerry-%s-%s.img", board, r.version)
		err := r.take(dir, filepath.Join(r.from, name+".zst"), name+".zst", "the image of a card for "+what)
		if errors.Is(err, fs.ErrNotExist) {
			r.missing = append(r.missing, fmt.Sprintf("The image for %s (`make release IMAGES=%s`).", what, board))
			continue
		}
		if err != nil {
			return err
		}
		if err := r.take(dir, filepath.Join(r.from, name+".bmap"), name+".bmap", "for bmaptool: which blocks of that image have something in them"); err != nil {
			return err
		}
		if err := r.take(dir, filepath.Join(r.from, name+".spdx.json"), name+".spdx.json", "what that image is made of, with licences, as SPDX"); err != nil {
			return err
		}
		if err := r.trusted(filepath.Join(r.from, name+".keys"), board); err != nil {
			return err
		}
		if err := r.imageUpdate(dir, board, what); err != nil {
			return err
		}
	}
	return nil
}

// trusted fails where an image would refuse the updates of this release: the file of its keys,
// which make image writes beside it, has to have the release's.
func (r *release) trusted(path, board string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%w: make release IMAGES=%s builds the image anew", err, board)
	}
	if !slices.Contains(strings.Fields(string(text)), r.keys.sums.Public()) {
		return fmt.Errorf("the image for the board %s does not trust the key of this release, and would refuse its updates: make release IMAGES=%[1]s builds it anew", board)
	}
	return nil
}

// imageUpdate signs what an image's slot is written from.
func (r *release) imageUpdate(dir, board, what string) error {
	payload := filepath.Join(r.from, fmt.Sprintf("update-%s-%s", board, r.version))
	list, err := os.ReadDir(payload)
	if err != nil {
		return fmt.Errorf("%w: make image BOARD=%s, at this commit", err, board)
	}
	var files []publish.File
	for _, e := range list {
		if e.Name() == manifest.File || e.Name() == manifest.SignatureFile { // of make image, perhaps by another key
			continue
		}
		files = append(files, publish.File{Name: e.Name(), From: filepath.Join(payload, e.Name())})
	}
	m := manifest.Manifest{Kind: manifest.System, Version: r.number, Board: board, Arch: "arm64", Created: r.at, Expires: r.at.Add(shelfLife)}
	archive := fmt.Sprintf("skerry-%s-%s%s", r.number, board, update.ArchiveSuffix)
	if err := publish.Write(context.Background(), filepath.Join(dir, "update", board), filepath.Join(dir, archive), m, files, r.keys.sums); err != nil {
		return err
	}
	r.files = append(r.files, file{archive, "the update to this version of the image for " + what + ", to be put on a stick"},
		file{"update/" + board + "/", "the same, for `update.url`"})
	return nil
}

// updates copies those of the packages, which must be signed with the key of this release.
func (r *release) updates(dir string) error {
	for _, arch := range r.arches {
		from := filepath.Join(r.from, "update", arch)
		text, err := os.ReadFile(filepath.Join(from, manifest.File))
		if err != nil {
			return fmt.Errorf("%w: make update", err)
		}
		signature, err := os.ReadFile(filepath.Join(from, manifest.SignatureFile))
		if err != nil {
			return fmt.Errorf("%w: make update, with MINISIGN_KEY set", err)
		}
		m, err := manifest.Open(text, signature, manifest.Policy{Keys: []string{r.keys.sums.Public()}, Kind: manifest.Program, Board: "any", Arch: arch, Installed: &manifest.Version{}, Now: r.at})
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		if m.Version != r.number {
			return fmt.Errorf("%s is of version %s, not %s: make update", from, m.Version, r.number)
		}
		archive := fmt.Sprintf("skerry-%s-%s%s", r.number, arch, update.ArchiveSuffix)
		if err := r.take(dir, filepath.Join(r.from, "update", archive), archive, "the update of an installed package for "+arch+", to be put on a stick"); err != nil {
			return err
		}
		if err := os.CopyFS(filepath.Join(dir, "update", arch), os.DirFS(from)); err != nil {
			return err
		}
		r.files = append(r.files, file{"update/" + arch + "/", "the same, for `update.url`"})
	}
	return nil
}

// sums writes the sums of all files but those that are signatures, and signs them.
func (r *release) sums(dir string) error {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path) // below it, as it is walked
		if err != nil || d.IsDir() || slices.Contains(signatures, name) || strings.HasSuffix(name, ".minisig") {
			return err
		}
		e, err := manifest.EntryOf(filepath.ToSlash(name), path)
		fmt.Fprintf(&b, "%s  %s\n", e.SHA256, e.Name)
		return err
	})
	if err != nil {
		return err
	}
	path := filepath.Join(dir, sumsFile)
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return err
	}
	return r.keys.sums.SignFile(path, r.at)
}

// take copies a file, and has the notes name it.
func (r *release) take(dir, from, name, what string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	r.files = append(r.files, file{name, what})
	return nil
}
