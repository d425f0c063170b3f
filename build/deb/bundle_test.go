package main

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/appliance/update"
	"skerry/appliance/update/install"
	"skerry/appliance/update/manifest"
	"skerry/appliance/update/publish"
)

var bundles = flag.Bool("bundles", false, "update the model bundle in a container, too, which takes a minute")

// TestBundleUpdated updates the model bundle of an installed appliance, from a file: it stays
// once it has answered; one under which the daemon ends is taken back, and said to be a problem.
func TestBundleUpdated(t *testing.T) {
	if !*bundles {
		t.Skip("skipped: -bundles")
	}
	p := own(t, "skerry", "0.9")
	i := boot(t)
	if err := p.WriteFile(filepath.Join(i.Root, "root", "skerry_0.9.deb")); err != nil {
		t.Fatal(err)
	}
	i.tiny()
	i.install()
	i.publishBundle("1.1.0", "2,3")
	i.publishBundle("1.2.0", "1,3")
	before := i.state().Model.Bundle

	i.step("skerry update check", i.must("skerry", "update", "check", "/srv/1.1.0"+update.ArchiveSuffix))
	i.step("apply", i.must("skerry", "update", "apply", "/srv/1.1.0"+update.ArchiveSuffix))
	i.until("it is kept", func() bool {
		b := i.bundle()
		return b != nil && b.Phase == update.Idle && b.Last != nil && b.Last.Kept
	})
	second := i.state().Model.Bundle
	if second == before {
		t.Errorf("%s answers as before", second)
	}
	i.step("kept", i.must("skerry", "update", "status"), i.must("skerry", "status"))

	i.must("skerry", "update", "apply", "--no-restart", "/srv/1.2.0")
	i.must("systemctl", "restart", "skerry")
	i.must("systemctl", "kill", "-s", "KILL", "skerry")
	i.until("it is taken back", func() bool { b := i.bundle(); return b.Phase == update.Idle && !b.Last.Kept })
	i.ready()
	if is := i.state().Model.Bundle; is != second {
		t.Errorf("%s answers, not %s", is, second)
	}
	status, _ := i.Run(i.ctx, "skerry", "status") // it fails where there is a problem
	if !strings.Contains(status, "Update of the model did not stick") {
		t.Errorf("no problem is shown:\n%s", status)
	}
	i.step("taken back", i.must("skerry", "update", "status"), status)

	i.must("skerry", "update", "clear")
	i.step("rollback", i.must("skerry", "update", "rollback", "--bundle"))
	i.until("that of the settings is back", func() bool { m := i.state().Model; return m != nil && m.Bundle == before })
	i.step("rolled back", i.must("skerry", "update", "status"))
}

// bundle is how the updates of the bundle are, nil where there were none.
func (i *installed) bundle() *install.State {
	var s install.State
	if err := json.Unmarshal([]byte(i.must("skerry", "update", "status", "--json")), &s); err != nil {
		i.t.Fatal(err)
	}
	return s.Bundle
}

// publishBundle has an update of a bundle lie in /srv, by a key that the board trusts.
func (i *installed) publishBundle(version, exits string) {
	i.t.Helper()
	dir := i.t.TempDir()
	src, model := filepath.Join(dir, "tiny.gguf"), filepath.Join(dir, "model")
	for _, args := range [][]string{{"model", "synth", "tiny", "-o", src}, {"model", "split", src, "--exits", exits, "-o", model}} {
		cmd := exec.Command("../../bin/skerry", args...)
		cmd.Env = append(os.Environ(), "SKERRY_KERNELS=../../bin/kernels")
		if out, err := cmd.CombinedOutput(); err != nil {
			i.t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	public, err := publish.NewKey(filepath.Join(dir, "key"))
	if err != nil {
		i.t.Fatal(err)
	}
	key, err := publish.ReadKey(filepath.Join(dir, "key"), "")
	if err != nil {
		i.t.Fatal(err)
	}
	pubs := filepath.Join(i.Root, "etc/skerry/update.pub")
	old, _ := os.ReadFile(pubs)
	i.write("/etc/skerry/update.pub", string(old)+public+"\n")
	list, err := os.ReadDir(model)
	if err != nil {
		i.t.Fatal(err)
	}
	var files []publish.File
	for _, e := range list {
		if !e.IsDir() {
			files = append(files, publish.File{Name: install.BundleDir + "/" + e.Name(), From: filepath.Join(model, e.Name())})
		}
	}
	v, err := manifest.ParseVersion(version)
	if err != nil {
		i.t.Fatal(err)
	}
	m := manifest.Manifest{Kind: manifest.Bundle, Version: v, Board: "any", Arch: "any", Created: time.Now().Add(-time.Hour), Expires: time.Now().Add(time.Hour)}
	at := filepath.Join(i.Root, "srv", version)
	if err := publish.Write(i.ctx, at, at+update.ArchiveSuffix, m, files, key); err != nil {
		i.t.Fatal(err)
	}
}
