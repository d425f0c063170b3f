package engine

import (
	"slices"
	"testing"
)

func TestParseFeatures(t *testing.T) {
	got := parseFeatures("NEON=1;SVE=1;SVE_CNT=16;SME=0;REPACK=1")
	if want := []string{"NEON", "SVE", "SVE_CNT=16", "REPACK"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := parseFeatures(""); len(got) != 0 {
		t.Errorf("of nothing: %q", got)
	}
}
