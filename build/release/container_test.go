package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/build/deb/debian"
	"skerry/build/nspawn"
)

// inside is a booted Debian in which a release is installed.
type inside struct {
	*nspawn.Container
	t   *testing.T
	ctx context.Context
}

// must runs a command inside that has to succeed.
func (i *inside) must(args ...string) string {
	i.t.Helper()
	out, err := i.Run(i.ctx, args...)
	if err != nil {
		i.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// page waits for the page.
func (i *inside) page() {
	i.t.Helper()
	// The socket is open, so that this waits by itself until the daemon answers.
	if out := i.must("curl", "-fsS", "--max-time", "120", "http://127.0.0.1:7537/"); !strings.Contains(out, "<title>") {
		i.t.Errorf("no page:\n%.400s", out)
	}
}

var ofRelease = flag.String("release", "", "directory that make release has written, to be installed instead of one made here")

// realRelease has the packages of the program that make built, for this machine.
func realRelease(t *testing.T) (r *release, dir string) {
	t.Helper()
	arch := strings.TrimSpace(tool(t, "dpkg", "--print-architecture"))
	r = made(t, arch)
	for _, path := range []string{"bin/skerry", "bin/kernels", "build/out/docs"} {
		if _, err := os.Stat(path); err != nil {
			t.Skipf("skipped: %v: make and make docs write it", err)
		}
	}
	cmd := exec.Command("go", "run", "./build/deb", "-arch", arch, "-bin", "bin", "-version", version, "-compression", "none", "-dir", r.from)
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch.Unix()))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir = filepath.Join(t.TempDir(), "release")
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	return r, dir
}

// TestReleaseOnDebian: apt takes the repository, from a directory and from a web server, and
// not one that is not signed so; and the installer goes from nothing to a page.
func TestReleaseOnDebian(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	if err := nspawn.Available(); err != nil {
		t.Skip("skipped: ", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	archive, err := nspawn.Archive(ctx, filepath.Join(cache, "skerry"))
	if err != nil {
		t.Skip("skipped: ", err)
	}
	var dir string
	if dir, err = filepath.Abs(*ofRelease); *ofRelease == "" {
		_, dir = realRelease(t)
	}
	if err != nil {
		t.Fatal(err)
	}
	i := &inside{t: t, ctx: ctx}
	if i.Container, err = nspawn.Boot(ctx, archive, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if err := os.CopyFS(filepath.Join(i.Root, "srv", "release"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	l, err := i.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(dir))}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() { server.Close(); <-served }()
	url := "http://" + l.Addr().String()

	i.installer(url)
	i.apt(url)
}

// installer goes from nothing to a page, from both kinds of places, and away again.
func (i *inside) installer(url string) {
	i.t.Helper()
	if out, err := i.Run(i.ctx, "env", "SKERRY_URL=http://127.0.0.1:1", "sh", "/srv/release/install.sh"); err == nil || !strings.Contains(out, "is the network up") {
		i.t.Errorf("without a network: %v, %s", err, out)
	}
	places := []string{url}
	if *ofRelease != "" {
		places = append(places, "file:///srv/release", "")
	}
	for _, place := range places {
		out := i.must("env", "SKERRY_URL="+place, "sh", "/srv/release/install.sh")
		if !strings.Contains(out, "http://127.0.0.1:7537/") || !strings.Contains(out, "apt purge skerry") {
			i.t.Errorf("%s: the installer says\n%s", place, out)
		}
		i.t.Log(out)
		i.page()
		i.must("apt-get", "purge", "-y", "skerry")
	}
}

// apt installs as the notes of the release say.
func (i *inside) apt(url string) {
	i.t.Helper()
	i.must("rm", "-f", "/etc/apt/sources.list")
	i.must("install", "-D", "-m", "644", "/srv/release/"+archiveKeyFile, "/etc/apt/keyrings/"+archiveKeyFile)
	update := func(where string) (string, error) {
		line := "deb [signed-by=/etc/apt/keyrings/" + archiveKeyFile + "] " + where + " ./\n"
		if err := os.WriteFile(filepath.Join(i.Root, "etc/apt/sources.list.d/skerry.list"), []byte(line), 0o644); err != nil {
			i.t.Fatal(err)
		}
		return i.Run(i.ctx, "apt-get", "-o", "APT::Update::Error-Mode=any", "update")
	}
	for _, where := range []string{"file:/srv/release", url} {
		if out, err := update(where); err != nil || strings.Contains(out, "W:") {
			i.t.Fatalf("%s: %v\n%s", where, err, out)
		}
		if where == url { // what was installed from the directory stays, and is fetched again
			i.must("apt-get", "install", "-y", "--reinstall", "--download-only", "skerry")
			continue
		}
		i.must("apt-get", "install", "-y", "skerry")
		if out := i.must("dpkg-query", "-W", "-f", "${Version}", "skerry"); *ofRelease == "" && out != debian.Version(version, epoch) {
			i.t.Errorf("%s: version %s is installed", where, out)
		}
	}
	// The same by another's key, and with another package in the index.
	stranger, err := newKeys(i.t).apt.public()
	if err != nil {
		i.t.Fatal(err)
	}
	key := filepath.Join(i.Root, "etc/apt/keyrings", archiveKeyFile)
	ours, err := os.ReadFile(key)
	if err != nil {
		i.t.Fatal(err)
	}
	write(i.t, key, string(stranger), 0o644)
	i.must("sh", "-c", "rm -rf /var/lib/apt/lists/*")
	if out, err := update("file:/srv/release"); err == nil || !strings.Contains(out, "is not signed") {
		i.t.Errorf("of a stranger: %v\n%s", err, out)
	}
	write(i.t, key, string(ours), 0o644)
	i.must("sh", "-c", "rm -rf /var/lib/apt/lists/* && sed -i s/board/bored/ /srv/release/Packages && rm /srv/release/Packages.gz")
	if out, err := update("file:/srv/release"); err == nil {
		i.t.Errorf("of a changed index:\n%s", out)
	}
}
