package clienttest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// install returns the directory of the packages that requirements.txt pins. They
// stay in the cache; a python of another version has a directory of its own.
func install(t *testing.T) string {
	t.Helper()
	version, err := exec.Command("python3", "--version").Output()
	if err != nil {
		t.Fatalf("the clients need python3: %v (on Debian: apt install python3 python3-pip)", err)
	}
	wanted, err := files.ReadFile("requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(bytes.Join([][]byte{version, wanted}, nil))
	dir := filepath.Join(cache, "skerry", "clients", fmt.Sprintf("%x", sum[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := download(dir, wanted); err != nil {
		t.Fatal(err)
	}
	return dir
}

// download makes dir beside its place and renames it, so that what is there is
// whole; of two processes the first is kept.
func download(dir string, wanted []byte) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".install-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	list, packages := filepath.Join(work, "requirements.txt"), filepath.Join(work, "packages")
	if err := os.WriteFile(list, wanted, 0o644); err != nil {
		return err
	}
	out, err := exec.Command("python3", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check",
		"--retries", "10", "--timeout", "60", "--only-binary=:all:", "--target", packages, "--requirement", list).CombinedOutput()
	if err != nil {
		return fmt.Errorf("pip cannot install the clients: %w: %s", err, out)
	}
	if err := os.Rename(packages, dir); err != nil {
		if _, there := os.Stat(dir); there == nil {
			return nil
		}
		return err
	}
	return nil
}
