package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"skerry/appliance/bundle"
)

// Split at half depth a model of the usual shape leaves the board well below
// the whole in bytes, though both hold the vocabulary.
func TestBoardRatio(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 2 GB a type")
	}
	for _, ty := range []string{"q4_0", "q8_0"} {
		t.Run(ty, func(t *testing.T) {
			src, dir := filepath.Join(t.TempDir(), "1b.gguf"), filepath.Join(t.TempDir(), "1b")
			expect(t, 0, "model", "synth", "llama-3.2-1b", "--type", ty, "-o", src)
			_, stderr := expect(t, 0, "model", "split", src, "-o", dir, "--type", "keep", "--exits", "4,8")
			stdout, _ := expect(t, 0, "model", "inspect", "--json", dir)
			var in bundle.Inspection
			if err := json.Unmarshal([]byte(stdout), &in); err != nil {
				t.Fatal(err)
			}
			t.Logf("board %d of %d bytes, %.4f; %s", in.BoardBytes, in.WholeBytes, in.BoardRatio, stderr)
			if in.BoardRatio > 0.61 {
				t.Errorf("the board's files are %.4f of the whole", in.BoardRatio)
			}
		})
	}
}
