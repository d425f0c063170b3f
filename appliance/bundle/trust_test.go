package bundle

import (
	"strings"
	"testing"
)

func TestTrustIsWrittenAndDrawn(t *testing.T) {
	sure := Reliability{Tokens: 300, Agreement: 0.9, CalibrationError: 0.05, Coverage95: 0.8, Coverage98: 0.7,
		Curve: []ReliabilityBin{{0.25, 0.5, 100}, {1, 1, 200}}}
	m := &Manifest{
		Draft: &Draft{Measured: []DraftMeasured{{Kind: "chat", Reliability: sure}}},
		Heads: []Head{{Exit: 20, ByKind: map[string]Reliability{"natural": {Tokens: 50, Agreement: 0.4}, "code": {Tokens: 60}}}},
	}
	var table, curves strings.Builder
	if err := m.WriteTrust(&table); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(table.String()), "\n")
	if len(lines) != 4 || strings.Join(strings.Fields(lines[1]), " ") != "draft chat 300 0.900 0.050 0.800 0.700" || !strings.HasPrefix(lines[2], "exit 20  code") {
		t.Errorf("%q", lines)
	}
	if err := m.DrawTrust(&curves); err != nil {
		t.Fatal(err)
	}
	// A bar of half of the width with the mark at a quarter of it, and a full one whose end is marked.
	for _, want := range []string{"  0.25 ==========|=========                      0.500 of 100\n", "  1.00 " + strings.Repeat("=", 40) + "| 1.000 of 200\n"} {
		if !strings.Contains(curves.String(), want) {
			t.Errorf("%q lacks %q", curves.String(), want)
		}
	}
	var nothing strings.Builder
	if m = new(Manifest); m.WriteTrust(&nothing) != nil || m.DrawTrust(&nothing) != nil || nothing.Len() > 0 {
		t.Errorf("of nothing: %q", nothing.String())
	}
}

// A threshold for which nothing is promised is said to hold for the texts it was chosen on.
func TestThresholdOfADraftSaysWhatItIsWorth(t *testing.T) {
	d := &Draft{Threshold: 0.8, Measured: []DraftMeasured{{Kind: "chat"}}}
	if got, want := d.Worth(), "from confidence 0.8 (chosen on the texts it was measured on)"; !strings.HasSuffix(got, want) {
		t.Errorf("%q does not end in %q", got, want)
	}
	d.Bound = &DisagreementBound{Threshold: 0.8}
	if got, want := d.Worth(), "from confidence 0.8"; !strings.HasSuffix(got, want) {
		t.Errorf("%q does not end in %q", got, want)
	}
	if d.Bound, d.Threshold = nil, 1.01; strings.Contains(d.Worth(), "chosen") {
		t.Errorf("%q", d.Worth())
	}
}
