package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/split"
	"skerry/appliance/update"
	"skerry/appliance/update/install"
	"skerry/appliance/update/manifest"
	"skerry/appliance/update/publish"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// bin is a program with its kernels as make cross leaves them.
func bin(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "skerry"), "program")
	write(t, filepath.Join(dir, "kernels", "libggml-cpu-x64.so"), "x64")
	write(t, filepath.Join(dir, "kernels", "libggml-base.so.0.0.0"), "base")
	for link, to := range map[string]string{"libggml-base.so.0": "libggml-base.so.0.0.0", "libggml-base.so": "libggml-base.so.0"} {
		if err := os.Symlink(to, filepath.Join(dir, "kernels", link)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What is made is what a board applies: from the directory and from the file, where it is
// signed, and never where it is not.
func TestMadeAndApplied(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	for _, signed := range []bool{false, true} {
		var keys []string
		t.Setenv("MINISIGN_KEY", "")
		if signed {
			secret := filepath.Join(t.TempDir(), "secret.key")
			key, err := publish.NewKey(secret)
			if err != nil {
				t.Fatal(err)
			}
			keys = []string{key}
			t.Setenv("MINISIGN_KEY", secret)
		}
		dir := t.TempDir()
		if err := run("any", bin(t), "", "", "1.3.0-2-gabc", dir, 36500, nil); err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{filepath.Join(dir, "any"), filepath.Join(dir, "skerry-1.3.0-any"+update.ArchiveSuffix)} {
			base := t.TempDir()
			if err := os.Symlink("a", filepath.Join(base, "current")); err != nil {
				t.Fatal(err)
			}
			i, err := install.Find("1.2.0", base)
			if err != nil {
				t.Fatal(err)
			}
			found, err := i.Look(t.Context(), manifest.Policy{Keys: keys, Kind: manifest.Program, Board: install.PackageBoard, Arch: "any",
				Installed: &manifest.Version{Major: 1, Minor: 2}, Now: time.Unix(1700000000, 0)}, at)
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			if c := found[0]; signed != (c.Err == nil) || !signed && !strings.Contains(c.Err.Error(), "no signature") {
				t.Errorf("signed %v, %s: %v", signed, at, c.Err)
			} else if signed {
				checkFiles(t, c, i.Cache())
			}
		}
	}
}

func checkFiles(t *testing.T, c install.Candidate, cache string) {
	t.Helper()
	var names []string
	for _, f := range c.Manifest.Files {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "kernels/libggml-base.so.0 kernels/libggml-cpu-x64.so skerry" {
		t.Errorf("the files are %s", got)
	}
	paths, err := c.Source.Files(t.Context(), c.Manifest.Files, func(string, int64, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	for n, f := range c.Manifest.Files {
		text, err := os.ReadFile(paths[n])
		if want := map[string]string{"skerry": "program", "kernels/libggml-base.so.0": "base", "kernels/libggml-cpu-x64.so": "x64"}[f.Name]; err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", f.Name, text, err)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Setenv("MINISIGN_KEY", "")
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if err := run("any", bin(t), "", "", "1.3.0", t.TempDir(), 1, nil); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Error(err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	if err := run("any", bin(t), "", "", "development", t.TempDir(), 1, nil); err == nil || !strings.Contains(err.Error(), "git tag") {
		t.Error(err)
	}
	if err := run("any", t.TempDir(), "", "", "1.3.0", t.TempDir(), 1, nil); err == nil || !strings.Contains(err.Error(), "make cross") {
		t.Error(err)
	}
	t.Setenv("MINISIGN_KEY", filepath.Join(bin(t), "skerry"))
	if err := run("any", bin(t), "", "", "1.3.0", t.TempDir(), 1, nil); err == nil || !strings.Contains(err.Error(), "secret key") {
		t.Error(err)
	}
}

// The update of a bundle has its files below a name of their own, so that its manifest is none
// of the update's.
func TestBundleUpdate(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	t.Setenv("MINISIGN_KEY", "")
	model, dir := filepath.Join(t.TempDir(), "model"), t.TempDir()
	if _, err := split.Model(t.Context(), bundletest.Synth(t, "tiny", "q4_0"), model, split.Options{Type: split.TypeKeep}); err != nil {
		t.Fatal(err)
	}
	if err := run("arm64", "", "", model, "2.1.0", dir, 1, nil); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "bundle", manifest.File))
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse(text)
	if err != nil || m.Kind != manifest.Bundle || m.Arch != "any" || m.Version.String() != "2.1.0" {
		t.Fatalf("%+v, %v", m, err)
	}
	if !slices.ContainsFunc(m.Files, func(e manifest.Entry) bool { return e.Name == "bundle/manifest.json" }) {
		t.Errorf("%+v", m.Files)
	}
	if err := bundle.Verify(t.Context(), filepath.Join(dir, "bundle", "bundle")); err != nil {
		t.Error(err)
	}
	if err := run("arm64", "", "", t.TempDir(), "2.1.0", dir, 1, nil); err == nil || !strings.Contains(err.Error(), "skerry model split") {
		t.Error(err)
	}
}
