package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/update/publish"
)

// The keys that a program was built with are found in its package, and an image is not made
// that would refuse its own updates.
func TestTrustedKeys(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skipf("skipped: %v", err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	ours, err := publish.NewKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	other, err := publish.NewKey(filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	deb := func(program string) string {
		dir := t.TempDir()
		for path, text := range map[string]string{"DEBIAN/control": "Package: skerry\nVersion: 1\nArchitecture: arm64\nMaintainer: nobody\nDescription: small\n", "usr/bin/skerry": program} {
			if err := write(filepath.Join(dir, path), []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(t.TempDir(), "skerry.deb")
		if out, err := exec.Command("dpkg-deb", "-Znone", "-b", dir, path).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return path
	}
	both := deb("code " + ours + " " + other + " code")
	for _, c := range []struct {
		what, deb, keys, secret, want string
		trusted                       []string
	}{
		{what: "none", deb: both},
		{what: "those of the release", deb: both, keys: other + " " + ours, secret: secret, trusted: []string{ours, other}},
		{what: "the secret one alone", deb: both, secret: secret, trusted: []string{ours}},
		{what: "the secret one is not trusted", deb: deb("code " + other), keys: other, secret: secret, want: "make image UPDATE_KEYS=" + ours},
		{what: "of another build", deb: deb("code " + ours), keys: ours + " " + other, secret: secret, want: "builds it anew"},
		{what: "no package", deb: secret, keys: ours, want: "make deb"},
	} {
		t.Setenv("UPDATE_KEYS", c.keys)
		t.Setenv("MINISIGN_KEY", c.secret)
		got, err := trustedKeys(t.Context(), c.deb)
		slices.Sort(c.trusted)
		if c.want == "" && (err != nil || !slices.Equal(got, c.trusted)) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, %v", c.what, got, err)
		}
	}
	if _, err := os.Stat(secret); err != nil {
		t.Fatal(err)
	}
}
