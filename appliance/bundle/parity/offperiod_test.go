package parity_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"skerry/appliance/bundle/parity"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
)

// TestParityNoticesThePeriod splits off the period, which Split itself refuses:
// the parity check would find it too, as it would for an architecture whose
// period nobody has noticed.
func TestParityNoticesThePeriod(t *testing.T) {
	for _, c := range []struct {
		shape   string
		exits   []int
		noticed bool
	}{
		{"tiny-smollm3", []int{5}, true},
		{"tiny-smollm3", []int{1, 8}, true},
		{"tiny-smollm3", []int{6, 10}, true},
		{"tiny-smollm3", []int{4, 8}, false},
		{"tiny-gemma3", []int{7}, true},
		{"tiny-gemma3", []int{7, 13}, true},
		{"tiny-gemma3", []int{11, 17}, true},
		{"tiny-gemma3", []int{6, 12}, false},
		{"tiny-qwen3", []int{1, 2}, false},
	} {
		t.Run(fmt.Sprint(c.shape, c.exits), func(t *testing.T) {
			dir := t.TempDir()
			src := filepath.Join(dir, "m.gguf")
			if err := synth.Write(t.Context(), c.shape, src, synth.Options{Seed: 3}); err != nil {
				t.Fatal(err)
			}
			_, err := split.Model(t.Context(), src, filepath.Join(dir, "b"), split.Options{Exits: c.exits, AnyExit: true, Parity: parity.Check})
			if errors.Is(err, split.ErrParity) != c.noticed || err != nil && !c.noticed {
				t.Error(err)
			}
			t.Log(err)
		})
	}
}
