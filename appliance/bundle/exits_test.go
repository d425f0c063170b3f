package bundle

import (
	"slices"
	"strings"
	"testing"

	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/synth"
)

// TestDefaultExits wants default exits to be valid wherever any are, and where
// people have them.
func TestDefaultExits(t *testing.T) {
	for _, window := range []bool{false, true} {
		for period := 1; period <= 6; period++ {
			for n := 1; n <= maxBlocks; n++ {
				m := &Model{Architecture: "x", Blocks: n, Period: period, window: window}
				exits := m.DefaultExits()
				err := m.CheckExits(exits)
				if len(m.firstExits()) == 0 {
					if err == nil || !strings.Contains(err.Error(), "cannot be split") {
						t.Errorf("%+v: %v", m, err)
					}
				} else if err != nil {
					t.Errorf("%+v: %v: %v", m, exits, err)
				}
			}
		}
	}
	for name, want := range map[string][]int{
		"smollm2-135m": {10, 20}, "llama-3.2-1b": {5, 11}, "llama-3.2-3b": {9, 19}, "qwen2.5-0.5b": {8, 16}, "qwen3-0.6b": {9, 19},
		"gemma3-270m": {6, 12}, "gemma3-1b": {6, 18}, "phi3-mini": {11, 21}, "smollm3-3b": {12, 24}, "tiny-gemma3": {6, 12}, "tiny-smollm3": {4, 8},
	} {
		s, err := synth.ShapeNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		m := &Model{Blocks: s.Blocks, Period: map[string]int{"gemma3": 6, "smollm3": 4}[s.Architecture], window: s.Architecture == "gemma3"}
		m.Period = max(1, m.Period)
		if got := m.DefaultExits(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// TestPeriod refuses exits where the blocks of a slice would not be those of the
// whole model.
func TestPeriod(t *testing.T) {
	for _, c := range []struct {
		shape string
		exits []int
		want  string
	}{
		{"tiny-smollm3", []int{5}, "exit 5 is off the period: the blocks of smollm3 repeat every 4, give 4 or 8"},
		{"tiny-smollm3", []int{1}, "exit 1 is off the period: the blocks of smollm3 repeat every 4, give 4"},
		{"tiny-smollm3", []int{4, 6}, "exit 6 is off the period: the blocks of smollm3 repeat every 4, give 8"},
		{"tiny-smollm3", []int{12, 13}, "exit 13 is off the period: the blocks of smollm3 repeat every 4, give one exit"},
		{"tiny-smollm3", []int{14}, "exit 14 is out of range"},
		{"tiny-gemma3", []int{4}, "exit 4 is off the period: the blocks of gemma3 repeat every 6, give 6"},
		{"tiny-gemma3", []int{6, 16}, "exit 16 is off the period: the blocks of gemma3 repeat every 6, give 12 or 18"},
		{"tiny-gemma3", []int{18}, "exit 18 leaves 2 blocks to the cloud, gemma3 needs 6 there: give 12"},
		{"tiny-smollm3", []int{12}, ""},
		{"tiny-gemma3", []int{12, 18}, ""},
	} {
		m, err := Check(bundletest.Synth(t, c.shape, "q4_0"))
		if err != nil {
			t.Fatal(err)
		}
		err = m.CheckExits(c.exits)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %v: %v, want %q", c.shape, c.exits, err, c.want)
		}
	}
}
