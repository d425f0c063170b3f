package fleet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/split"
	"skerry/appliance/update/install"
	"skerry/appliance/update/manifest"
	"skerry/appliance/update/publish"
)

// TestBundleOffered: a model bundle that the cloud offers is fetched, tried and kept apart from the
// program; one that the board has already is not fetched, and a program at the address of a bundle
// is refused.
func TestBundleOffered(t *testing.T) {
	w := newWorld(t)
	w.now = time.Now()
	source := bundletest.Synth(t, "tiny", "q4_0")
	make := func(exits ...int) (dir, id string) {
		dir = filepath.Join(t.TempDir(), "bundle")
		if _, err := split.Model(t.Context(), source, dir, split.Options{Exits: exits, Type: split.TypeKeep}); err != nil {
			t.Fatal(err)
		}
		k, err := bundle.ReadKept(dir)
		if err != nil {
			t.Fatal(err)
		}
		return dir, k.ID
	}
	first, firstID := make(2, 4)
	second, secondID := make(2, 3)
	w.Installed.Models.Bundle = first
	if id := w.Installed.Models.InUse(); id != firstID {
		t.Errorf("%s is used, not %s", id, firstID)
	}
	list, err := os.ReadDir(second)
	if err != nil {
		t.Fatal(err)
	}
	var files []publish.File
	for _, e := range list {
		if !e.IsDir() {
			files = append(files, publish.File{Name: install.BundleDir + "/" + e.Name(), From: filepath.Join(second, e.Name())})
		}
	}
	of := manifest.Manifest{Kind: manifest.Bundle, Version: manifest.Version{Major: 2}, Board: "any", Arch: "any", Created: w.now.Add(-time.Hour), Expires: w.now.Add(24 * time.Hour)}
	if err := publish.Write(t.Context(), filepath.Join(w.dir, "bundle"), "", of, files, w.key); err != nil {
		t.Fatal(err)
	}
	at := w.url[:len(w.url)-len("{board}")]

	w.offer = Offer{Number: 1, Version: "1.9.0", URL: at + "bundle", Bundle: firstID}
	w.want("it has it already", w.step(), Installed, "")
	if w.asked.Load() != 0 {
		t.Error("what the board has already was fetched")
	}
	w.offer = Offer{Number: 2, Version: "2.0.0", URL: at + "bundle", Bundle: strings.Repeat("ab", 32)}
	w.want("another bundle than the one that is offered", w.step(), Refused, secondID[:12]+", than the cloud offers, which is abababab")
	if len(w.attempts) != 0 {
		t.Fatalf("%+v", w.attempts)
	}
	w.offer = Offer{Number: 3, Version: "2.0.0", URL: at + "bundle", Bundle: secondID}
	w.want("offered", w.step(), Trying, "")
	if len(w.attempts) != 1 || !w.attempts[0].Bundle {
		t.Fatalf("%+v", w.attempts)
	}
	w.begin()
	w.want("on trial", w.step(), Trying, "")
	if err := w.Installed.Models.Keep(); err != nil {
		t.Fatal(err)
	}
	w.want("kept", w.step(), Installed, "")
	if id := w.Installed.Models.InUse(); id != secondID {
		t.Errorf("%s is used, not %s", id, secondID)
	}
	if s, err := w.Installed.Report(); err != nil || s.Version != "1.2.0" {
		t.Errorf("%+v, %v: the program is another", s, err)
	}

	w.publish(3, w.key)
	w.offer = Offer{Number: 4, Version: "1.3.0", URL: w.url, Bundle: firstID}
	w.want("a program", w.step(), Refused, "model bundle is at the address")
	w.offer = Offer{Number: 5, Version: "2.0.0", URL: at + "bundle"}
	w.want("a bundle, as a program", w.step(), Refused, "")
}
