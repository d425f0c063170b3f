package status_test

import (
	"bytes"
	"strings"
	"testing"

	"skerry/appliance/status"
)

// Who is never believed is said to be so, and how the calibration is reads as a sentence.
func TestSays(t *testing.T) {
	for want, got := range map[string]string{
		"is never believed: it is too rarely right, however sure it is":       status.Exit{Calibrated: true, Threshold: 1.01}.Says(),
		"answers from a confidence of 0.99, not calibrated":                   status.Exit{Threshold: 0.99}.Says(),
		"is never believed without a check":                                   status.Draft{Threshold: 1.01, Measured: true}.Says(),
		"answers from a confidence of 0.90, which nobody has measured for it": status.Draft{Threshold: 0.9}.Says(),
		"the exits are not calibrated: the board is warm":                     status.Calibration{Of: "the exits are", State: status.CalibrationWaits, Why: "the board is warm"}.Says(),
		"the exits are not calibrated, and cannot be: no room":                status.Calibration{Of: "the exits are", State: status.CalibrationFailed, Why: "no room"}.Says(),
		"the exits are not calibrated: done now, while nobody asks: measure, 40 %, 2 min left of this step": status.Calibration{
			Of: "the exits are", State: status.CalibrationRuns, Progress: &status.Progress{What: "measure", Share: 0.4, ETAs: 120}}.Says(),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	var b bytes.Buffer
	s := status.Status{Model: &status.Model{Name: "m"}, Calibration: &status.Calibration{Of: "the draft model is", State: status.CalibrationDone},
		Sessions: []status.Session{{ID: "s1", State: "idle", NoDraft: "it proposes nothing"}}}
	if err := status.Text(&b, s, 200); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the draft model is calibrated by now", "without the draft model: it proposes nothing"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q lacks %q", b.String(), want)
		}
	}
}
