package bundle

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// judged is who was measured, on one kind of text.
type judged struct {
	who, kind string
	Reliability
}

// judged are those of whom something was measured: the draft, then the exits.
func (m *Manifest) judged() (all []judged) {
	if m.Draft != nil {
		for _, k := range m.Draft.Measured {
			all = append(all, judged{"draft", k.Kind, k.Reliability})
		}
	}
	for _, h := range m.Heads {
		for _, kind := range slices.Sorted(maps.Keys(h.ByKind)) {
			all = append(all, judged{fmt.Sprintf("exit %d", h.Exit), kind, h.ByKind[kind]})
		}
	}
	return all
}

// WriteTrust writes how far the confidence of the draft and of the exits can be trusted, as a
// table; nothing where nothing was measured.
func (m *Manifest) WriteTrust(out io.Writer) error {
	all := m.judged()
	if len(all) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "who\ton\ttokens\tagreement\tcalibration error\tshare right at 0.95\tat 0.98")
	for _, j := range all {
		fmt.Fprintf(w, "%s\t%s\t%d\t%.3f\t%.3f\t%.3f\t%.3f\n", j.who, j.kind, j.Tokens, j.Agreement, j.CalibrationError, j.Coverage95, j.Coverage98)
	}
	return w.Flush()
}

// curveWidth is how many characters an agreement of 1 is wide.
const curveWidth = 40

// DrawTrust draws the reliability curves: for each tenth of confidence a bar as long as the
// agreement, with a mark where the confidence says that it should end.
func (m *Manifest) DrawTrust(out io.Writer) error {
	for _, j := range m.judged() {
		if len(j.Curve) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(out, "%s on %s: agreement by confidence, which | marks\n", j.who, j.kind); err != nil {
			return err
		}
		for _, b := range j.Curve {
			bar := []byte(fmt.Sprintf("%-*s", curveWidth+1, strings.Repeat("=", column(b.Agreement))))
			bar[column(b.Confidence)] = '|'
			if _, err := fmt.Fprintf(out, "  %.2f %s %.3f of %d\n", b.Confidence, bar, b.Agreement, b.Tokens); err != nil {
				return err
			}
		}
	}
	return nil
}

// column is where a share ends.
func column(share float64) int { return min(curveWidth, max(0, int(share*curveWidth+0.5))) }
