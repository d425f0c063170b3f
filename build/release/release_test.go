package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"skerry/appliance/update"
	"skerry/appliance/update/manifest"
	"skerry/appliance/update/publish"
	"skerry/build/deb/debian"
)

const version = "0.1.0+abc"

var epoch = time.Unix(1_700_000_000, 0).UTC()

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// made are throw-away keys, and updates that they have signed, beside what make deb and make
// oci would have built; the test runs at the top of the repository from then on.
func made(t *testing.T, arches ...string) *release {
	t.Helper()
	t.Chdir("../..")
	from := t.TempDir()
	r := &release{version: version, arches: arches, at: epoch, from: from, keys: newKeys(t), now: time.Now,
		starter: func(string) ([]byte, error) { return []byte("starter"), nil }}
	for _, name := range []string{"skerry", "skerry-cloud"} {
		for _, arch := range arches {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "DEBIAN", "control"), fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: nobody\nDescription: small\n", name, debian.Version(version, epoch), arch), 0o644)
			tool(t, "dpkg-deb", "-b", dir, filepath.Join(from, fmt.Sprintf("%s_%s_%s.deb", name, debian.Version(version, epoch), arch)))
			write(t, filepath.Join(from, "oci", name+"_"+arch+".tar"), "image of "+name+" for "+arch, 0o644)
		}
	}
	makeLayout(t, filepath.Join(from, "oci", "skerry"), arches...)
	r.makeUpdates(t)
	return r
}

// makeLayout does as make oci, with images that have nothing in them.
func makeLayout(t *testing.T, dir string, arches ...string) {
	t.Helper()
	var index v1.ImageIndex = empty.Index
	for _, arch := range arches {
		img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{Architecture: arch, OS: "linux", Created: v1.Time{Time: epoch}, Config: v1.Config{
			User: "1:1", Entrypoint: []string{"/usr/bin/skerry"}, ExposedPorts: map[string]struct{}{"7537/tcp": {}}, Labels: map[string]string{"org.opencontainers.image.version": version},
		}})
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img})
	}
	if _, err := layout.Write(dir, index); err != nil {
		t.Fatal(err)
	}
}

func newKeys(t *testing.T) keys {
	t.Helper()
	for _, name := range []string{"MINISIGN_KEY", "APT_KEY", "UPDATE_KEYS"} {
		t.Setenv(name, "")
	}
	var out strings.Builder
	built := filepath.Join(t.TempDir(), "out")
	if err := printKeys(&out, filepath.Join(built, "keys")); err != nil {
		t.Fatal(err)
	}
	for dir, deny := range map[string]os.FileMode{built: 0, filepath.Join(built, "keys"): 0o077} {
		st, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		other := filepath.Join(t.TempDir(), "other") // whose mode is also that of the umask
		if err := os.Mkdir(other, 0o755); err != nil {
			t.Fatal(err)
		}
		like, err := os.Stat(other)
		if err != nil {
			t.Fatal(err)
		}
		if want := like.Mode().Perm() &^ deny; st.Mode().Perm() != want {
			t.Errorf("%s has mode %v, not %v", dir, st.Mode().Perm(), want)
		}
	}
	for line := range strings.Lines(out.String()) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		t.Setenv(name, strings.Trim(value, "'"))
	}
	k, err := readKeys()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// makeUpdates does as make update.
func (r *release) makeUpdates(t *testing.T) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "skerry")
	write(t, program, "program", 0o755)
	for _, arch := range r.arches {
		m := manifest.Manifest{Kind: manifest.Program, Version: manifest.Version{Minor: 1}, Board: "any", Arch: arch, Created: epoch, Expires: epoch.AddDate(1, 0, 0)}
		at := filepath.Join(r.from, "update")
		if err := publish.Write(t.Context(), filepath.Join(at, arch), filepath.Join(at, "skerry-0.1.0-"+arch+update.ArchiveSuffix), m, []publish.File{{Name: "skerry", From: program, Executable: true}}, r.keys.sums); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRelease: what is written is complete, its sums and signatures are right, and twice the
// same gives the same bytes.
func TestRelease(t *testing.T) {
	r := made(t, "amd64", "arm64")
	r.image(t, r.keys.sums.Public())
	dir := filepath.Join(t.TempDir(), "release")
	write(t, filepath.Join(dir, "old"), "of before", 0o644)
	if err := r.write(dir + "/"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "old")); err == nil {
		t.Error("what was there before is there still")
	}
	checkSums(t, r, dir)
	checkNotes(t, r, dir)

	again := *r
	again.files, again.missing = nil, nil
	second := filepath.Join(t.TempDir(), "release")
	if err := again.write(second); err != nil {
		t.Fatal(err)
	}
	differ := map[string]bool{"InRelease": true, "Release.gpg": true}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || differ[name] {
			return err
		}
		a, _ := os.ReadFile(filepath.Join(dir, name))
		b, err := os.ReadFile(filepath.Join(second, name))
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs from the second one", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// image is as make image leaves one; keys are those that it trusts, "" for no file of them.
func (r *release) image(t *testing.T, keys string) {
	t.Helper()
	for _, name := range []string{".img.zst", ".img.bmap", ".img.spdx.json"} {
		write(t, filepath.Join(r.from, "skerry-uefi-"+version+name), "image", 0o644)
	}
	if keys != "" {
		write(t, filepath.Join(r.from, "skerry-uefi-"+version+".img.keys"), keys+"\n", 0o644)
	}
	write(t, filepath.Join(r.from, "update-uefi-"+version, "root.erofs"), "root", 0o644)
	write(t, filepath.Join(r.from, "update-uefi-"+version, manifest.File), "of make image", 0o644)
}

func checkSums(t *testing.T, r *release, dir string) {
	t.Helper()
	sums, err := os.ReadFile(filepath.Join(dir, sumsFile))
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil || !strings.Contains(string(key), "THROW-AWAY") {
		t.Errorf("%v: the key does not say what it is:\n%s", err, key)
	}
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || fmt.Sprintf("%x", sha256.Sum256(text)) != sum {
			t.Errorf("%s: not its sum (%v)", name, err)
		}
	}
	for _, want := range []string{"skerry_0.1.0~20231114221320+abc_arm64.deb", "skerry-cloud-container_0.1.0+abc_amd64.tar", "update/uefi/root.erofs", "update/arm64/skerry",
		"skerry-uefi-0.1.0+abc.img.zst", "install.sh", "Release", "RELEASE.md", "Packages",
		"homeassistant/repository.yaml", "homeassistant/skerry/config.yaml", "homeassistant/skerry/skerry_aarch64.tar.gz"} {
		if !strings.Contains(string(sums), "  "+want+"\n") {
			t.Errorf("no sum of %s in\n%s", want, sums)
		}
	}
}

func checkNotes(t *testing.T, r *release, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, notesFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Skerry 0.1.0+abc, of 2023-11-14", "This is a trial, not a release", "`make release IMAGES=pi`", "The first version.", r.keys.apt.fingerprint(), "| `skerry-uefi-0.1.0+abc.img.zst` |"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the notes do not say %q", want)
		}
	}
}

// TestSignedForApt: gpg's own checker takes both forms of the signature, by the key that is
// beside them.
func TestSignedForApt(t *testing.T) {
	dir := t.TempDir()
	k := newKeys(t)
	write(t, filepath.Join(dir, "Release"), "Origin: Skerry\n- dashed\n", 0o644)
	text, _ := os.ReadFile(filepath.Join(dir, "Release"))
	within, apart, err := k.apt.sign(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	public, err := k.apt.public()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "in"), string(within), 0o644)
	write(t, filepath.Join(dir, "apart"), string(apart), 0o644)
	write(t, filepath.Join(dir, "key.asc"), string(public), 0o644)
	tool(t, "gpg", "--homedir", dir, "--dearmor", "-o", filepath.Join(dir, "key.gpg"), filepath.Join(dir, "key.asc"))
	for _, args := range [][]string{{filepath.Join(dir, "in")}, {filepath.Join(dir, "apart"), filepath.Join(dir, "Release")}} {
		if out := tool(t, "gpgv", append([]string{"--keyring", filepath.Join(dir, "key.gpg")}, args...)...); !strings.Contains(out, "throw-away") {
			t.Errorf("gpgv: %s", out)
		}
	}
}

// TestRefused: what is missing, or of another version or key, is named with the command that
// makes it, and what was there before stays.
func TestRefused(t *testing.T) {
	r := made(t, "arm64")
	dir := filepath.Join(t.TempDir(), "release")
	write(t, filepath.Join(dir, "old"), "of before", 0o644)
	for _, c := range []struct {
		what, want string
		change     func(r *release)
	}{
		{"no packages", "make deb", func(r *release) { r.version = "0.1.0+def" }},
		{"no number", "git tag", func(r *release) { r.version = "unknown" }},
		{"no images", "make oci", func(r *release) { os.RemoveAll(filepath.Join(r.from, "oci")) }},
		{"no layout of images", "make oci", func(r *release) { os.RemoveAll(filepath.Join(r.from, "oci", "skerry")) }},
		{"another key", "does not trust", func(r *release) { r.keys = newKeys(t) }},
		{"an image without keys", "make release IMAGES=uefi", func(r *release) { r.image(t, "") }},
		{"an image with another's key", "does not trust the key of this release", func(r *release) { r.image(t, "RWQother") }},
		{"no updates", "make update", func(r *release) { os.RemoveAll(filepath.Join(r.from, "update")) }},
	} {
		changed := *r
		from := t.TempDir()
		if err := os.CopyFS(from, os.DirFS(r.from)); err != nil {
			t.Fatal(err)
		}
		changed.from = from
		c.change(&changed)
		err := changed.write(dir)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", c.what, err, c.want)
		}
		if _, err := os.Stat(filepath.Join(dir, "old")); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	next := *r
	next.number = manifest.Version{Minor: 2}
	if err := next.notes(dir); err == nil || !strings.Contains(err.Error(), "has no entry for 0.2.0") {
		t.Error(err)
	}
	t.Setenv("MINISIGN_KEY", filepath.Join(dir, "old"))
	if _, err := readKeys(); err == nil || !strings.Contains(err.Error(), "secret key of minisign") {
		t.Error(err)
	}
	t.Setenv("APT_KEY", "")
	if _, err := readKeys(); err == nil || !strings.Contains(err.Error(), "make release") {
		t.Error(err)
	}
	if _, err := readArchiveKey(filepath.Join(dir, "old"), ""); err == nil || !strings.Contains(err.Error(), "gpg --export-secret-keys") {
		t.Error(err)
	}
}
