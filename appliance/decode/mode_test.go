package decode

import (
	"slices"
	"strings"
	"testing"

	"skerry/appliance/infer"
)

// Every mode says all that flags, help, configuration and metrics read of it.
func TestModes(t *testing.T) {
	var names []infer.Mode
	for _, info := range infer.Modes() {
		names = append(names, info.Name)
		m := SpecOf(info.Name)
		if m.step == nil || m.Help == "" || len(m.Sources) == 0 {
			t.Errorf("mode %s: %+v", info.Name, m)
		}
		if m.Cloud != slices.Contains(m.Sources, infer.FromCloud) {
			t.Errorf("mode %s: the cloud says tokens exactly where it is asked", m.Name)
		}
		if err := (Options{Mode: m.Name, OnLoss: infer.GoAlone}).Check(); err != nil {
			t.Errorf("mode %s: %v", m.Name, err)
		}
	}
	for _, c := range []struct{ first, second infer.Mode }{{Collaborative, Unsplit}, {Unsplit, CloudOnly}, {CloudOnly, Paper}} {
		if a, b := slices.Index(names, c.first), slices.Index(names, c.second); a < 0 || a > b {
			t.Errorf("modes %s: %s is to come before %s", names, c.first, c.second)
		}
	}
	if got := ModeChoices(); !strings.HasPrefix(got, "cloud-led, collaborative, ") || !strings.Contains(got, " or verified, or of the baselines cloud-only, ") {
		t.Errorf("choose %s", got)
	}
}
