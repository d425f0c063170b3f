package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a bundle for support says of the images of conversations does not tell which they are.
func TestSizesNameNoImages(t *testing.T) {
	state := t.TempDir()
	t.Setenv("SKERRY_CACHE", t.TempDir())
	dir := filepath.Join(state, "images", "5e5510")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "abcdef"), filepath.Join(dir, "012345"), filepath.Join(state, "skerry.db")} {
		if err := os.WriteFile(path, make([]byte, 1000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := string(sizes(&Doctor{state: state}))
	if !strings.Contains(text, "skerry.db") || !strings.Contains(text, "2 images of conversations: 2.0 kB") || strings.Contains(text, "abcdef") || strings.Contains(text, "5e5510") {
		t.Error(text)
	}
}
