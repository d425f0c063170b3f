package plan

import (
	"strings"
	"testing"

	"skerry/appliance/bundle/bundletest"
)

func TestMeasure(t *testing.T) {
	m := read(t, bundletest.Synth(t, "tiny", "q8_0"))
	got, err := Measure(t.Context(), m, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !(got.Pass > 0) || len(got.Batch) != len(measureRows) {
		t.Errorf("measured %+v", got)
	}
	for i, b := range got.Batch {
		if b.Rows != measureRows[i] || !(b.Share >= 0) {
			t.Errorf("measured %+v", got.Batch)
		}
	}
	m.whole = ""
	if _, err := Measure(t.Context(), m, 1); err == nil || !strings.Contains(err.Error(), "--pass") {
		t.Errorf("without the model: %v", err)
	}
}
