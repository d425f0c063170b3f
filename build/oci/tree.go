package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"
)

// tree is a file system, by names without a leading slash.
type tree map[string]entry

type entry struct {
	tar.Header
	data []byte
}

// left out of what packages install: nobody reads it in a container. What they say of
// their licences stays.
var leftOut = []string{
	"etc/", "usr/lib/systemd/", "usr/lib/sysusers.d/", "usr/lib/tmpfiles.d/", "usr/sbin/", "usr/share/bash-completion/", "usr/share/fish/",
	"usr/share/gcc/", "usr/share/gdb/", "usr/share/lintian/", "usr/share/locale/", "usr/share/man/", "usr/share/polkit-1/", "usr/share/zsh/",
	"usr/lib/x86_64-linux-gnu/gconv/", "usr/lib/aarch64-linux-gnu/gconv/", "usr/lib/x86_64-linux-gnu/audit/", "usr/lib/aarch64-linux-gnu/audit/",
}

func wanted(name string) bool {
	if strings.HasPrefix(name, "usr/share/doc/") {
		return path.Base(name) == "copyright" || path.Base(name) == "modules.gz"
	}
	return !slices.ContainsFunc(leftOut, func(p string) bool { return strings.HasPrefix(name+"/", p) })
}

// addPackage unpacks a Debian package into the tree.
func (t tree) addPackage(deb string) error {
	cmd := exec.Command("dpkg-deb", "--fsys-tarfile", deb)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	data, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", deb, err, complaint.String())
	}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", deb, err)
		}
		name := strings.Trim(path.Clean("/"+h.Name), "/")
		if name == "" || !wanted(name) {
			continue
		}
		e := entry{Header: *h}
		if e.data, err = io.ReadAll(r); err != nil {
			return fmt.Errorf("%s: %w", deb, err)
		}
		if h.Typeflag == tar.TypeLink { // within the archive
			e.Linkname = strings.Trim(path.Clean("/"+h.Linkname), "/")
		}
		t[name] = e
	}
}

// file adds one of root's.
func (t tree) file(name, text string) {
	t[name] = entry{Header: tar.Header{Typeflag: tar.TypeReg, Mode: 0o644}, data: []byte(text)}
}

// dir adds a directory of a user.
func (t tree) dir(name string, mode int64, owner int) {
	t[name] = entry{Header: tar.Header{Typeflag: tar.TypeDir, Mode: mode, Uid: owner, Gid: owner}}
}

// take removes what lies below a directory, and returns it by name, sorted.
func (t tree) take(dir string) (taken []entry) {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if strings.HasPrefix(name+"/", dir+"/") {
			taken = append(taken, t[name])
			delete(t, name)
		}
	}
	return taken
}

// parents adds the directories that are missing.
func (t tree) parents() {
	for _, name := range slices.Collect(maps.Keys(t)) {
		for d := path.Dir(name); d != "."; d = path.Dir(d) {
			if _, ok := t[d]; !ok {
				t.dir(d, 0o755, 0)
			}
		}
	}
}

// archive is the tree as a tar archive, the same bytes for the same tree and time.
func (t tree) archive(at time.Time) ([]byte, error) {
	t.parents()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(t)) {
		e := t[name]
		h := tar.Header{Typeflag: e.Typeflag, Name: name, Linkname: e.Linkname, Mode: e.Mode & 0o7777, Uid: e.Uid, Gid: e.Gid, Size: int64(len(e.data)), ModTime: at, Format: tar.FormatPAX}
		if e.Typeflag == tar.TypeDir {
			h.Name += "/"
		}
		if err := w.WriteHeader(&h); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return b.Bytes(), w.Close()
}
