package parity_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/parity"
	"skerry/appliance/bundle/split"
)

// A draft that the engine does not compute with is refused when the model is split, and
// nothing is left of the bundle.
func TestDraftIsTried(t *testing.T) {
	src := tiny(t, "tiny", "q4_0")
	for name, small := range map[string]string{"good": src, "refused": bundletest.Refused(t, src)} {
		dir := filepath.Join(t.TempDir(), "b")
		_, err := split.Model(t.Context(), src, dir, split.Options{Draft: small, Quantizer: parity.Quantize, Parity: parity.Check})
		_, there := os.Stat(dir)
		switch {
		case name == "good" && (err != nil || there != nil):
			t.Errorf("%s: %v, %v", name, err, there)
		case name == "refused" && (!errors.Is(err, bundle.ErrDraft) || there == nil || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: %v, %v", name, err, there)
		}
	}
}
