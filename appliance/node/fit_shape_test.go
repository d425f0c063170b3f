package node

import (
	"os"
	"path/filepath"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/split"
)

// A header is not read again while its file stays as it is, and is where it was written anew.
func TestShapeIsOfTheFileAsItIs(t *testing.T) {
	model, err := os.ReadFile(bundletest.Synth(t, "tiny", split.TypeQ4_0))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "stage.gguf")
	if err := os.WriteFile(path, model, 0o600); err != nil {
		t.Fatal(err)
	}
	man := &bundle.Manifest{Architecture: "llama", Embedding: 64}
	first, err := shapeOf(path, man)
	if err != nil || first.feedForward == 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	again := testing.AllocsPerRun(5, func() {
		if s, err := shapeOf(path, man); err != nil || s != first {
			t.Errorf("%+v, %v", s, err)
		}
	})
	if again > 100 { // of a vocabulary there are thousands
		t.Errorf("%v allocations for a header that was read", again)
	}
	if err := os.WriteFile(path, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := shapeOf(path, man); err == nil {
		t.Error("a file that was written anew is not read")
	}
}
