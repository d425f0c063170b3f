package bundle_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/split"
)

// A manifest is read again once it is another, and is gone once it is not there.
func TestKeptManifestFollowsTheFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tiny")
	if _, err := split.Model(t.Context(), bundletest.Synth(t, "tiny", "q4_0"), dir, split.Options{}); err != nil {
		t.Fatal(err)
	}
	was, err := bundle.ReadKept(dir)
	if err != nil {
		t.Fatal(err)
	}
	id := was.Manifest.ID()
	if was.ID != hex.EncodeToString(id[:]) || was.Modified.IsZero() {
		t.Errorf("%+v", was)
	}
	mine := was.Manifest
	mine.Name = "another"
	if again, err := bundle.ReadKept(dir); err != nil || again.Manifest.Name != was.Manifest.Name {
		t.Errorf("%q, %v", again.Manifest.Name, err)
	}
	if err := mine.Write(dir); err != nil {
		t.Fatal(err)
	}
	if now, err := bundle.ReadKept(dir); err != nil || now.Manifest.Name != "another" {
		t.Errorf("%q, %v", now.Manifest.Name, err)
	}
	if err := os.Remove(filepath.Join(dir, bundle.ManifestFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.ReadKept(dir); err == nil {
		t.Error("it is gone")
	}
}
