package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"skerry/appliance/update/manifest"
)

// archiveKeyFile is the public key of the repository, in it.
const archiveKeyFile = "skerry-archive.asc"

// signatures of the repository are not among the sums: they are signatures themselves, with
// the time in them.
var signatures = []string{"InRelease", "Release.gpg"}

// index writes what apt reads of the packages in dir: a flat repository, as
// deb [signed-by=/etc/apt/keyrings/skerry-archive.asc] URL ./
func index(dir, version string, at, now time.Time, key *archiveKey) error {
	packages, arches, err := listPackages(dir)
	if err != nil {
		return err
	}
	var compressed bytes.Buffer
	z, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(packages); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	files := map[string][]byte{"Packages": packages, "Packages.gz": compressed.Bytes()}
	var b strings.Builder
	fmt.Fprintf(&b, "Origin: Skerry\nLabel: Skerry\nSuite: stable\nVersion: %s\nDate: %s\nArchitectures: %s\nDescription: Skerry, for boards and clouds\nSHA256:\n",
		version, at.Format("Mon, 02 Jan 2006 15:04:05 UTC"), strings.Join(arches, " "))
	for _, name := range []string{"Packages", "Packages.gz"} {
		sum := sha256.Sum256(files[name])
		fmt.Fprintf(&b, " %x %d %s\n", sum, len(files[name]), name)
	}
	files["Release"] = []byte(b.String())
	if files["InRelease"], files["Release.gpg"], err = key.sign(files["Release"], now); err != nil {
		return err
	}
	if files[archiveKeyFile], err = key.public(); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// listPackages is the index of the packages, and their architectures.
func listPackages(dir string) (text []byte, arches []string, err error) {
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(debs) == 0 {
		return nil, nil, fmt.Errorf("%s has no packages: make deb", dir)
	}
	var b bytes.Buffer
	for _, path := range debs { // sorted
		out, err := exec.Command("dpkg-deb", "-f", path).Output()
		if err != nil {
			return nil, nil, fmt.Errorf("dpkg-deb -f %s: %w", path, err)
		}
		control := strings.TrimSpace(string(out))
		for line := range strings.Lines(control) {
			if arch, ok := strings.CutPrefix(strings.TrimSpace(line), "Architecture: "); ok {
				arches = append(arches, arch)
			}
		}
		e, err := manifest.EntryOf(filepath.Base(path), path)
		if err != nil {
			return nil, nil, err
		}
		fmt.Fprintf(&b, "%s\nFilename: ./%s\nSize: %d\nSHA256: %s\n\n", control, e.Name, e.Size, e.SHA256)
	}
	slices.Sort(arches)
	return b.Bytes(), slices.Compact(arches), nil
}
