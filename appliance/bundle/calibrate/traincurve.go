package calibrate

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Text is a point of the curve, on one line.
func (p TrainPoint) Text() string {
	s := fmt.Sprintf("trained on %d tokens: agreement %.3f", p.Tokens, p.Agreement)
	for i, kind := range slices.Sorted(maps.Keys(p.ByKind)) {
		s += fmt.Sprintf("%s%s %.3f", []string{" (", ", "}[min(i, 1)], kind, p.ByKind[kind])
	}
	if len(p.ByKind) > 0 {
		s += ")"
	}
	if p.Loss > 0 {
		s += fmt.Sprintf(", divergence %.3f", p.Loss)
	}
	return s
}

// flat says that the last doubling of the text brought too little; the first rounds, in which
// little text was read, do not count.
func flat(curve []TrainPoint) bool {
	last := curve[len(curve)-1]
	for _, p := range slices.Backward(curve[:len(curve)-1]) {
		if p.Tokens > 0 && 2*p.Tokens <= last.Tokens {
			return len(curve) > 5 && last.Agreement < p.Agreement+leastGain
		}
	}
	return false
}

// Write prints the curve, and the draft beside the exit that it began as; or all as JSON.
func (t *Trained) Write(to io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(to).Encode(t)
	}
	for _, p := range t.Curve {
		fmt.Fprintln(to, p.Text())
	}
	if t.Draft == nil {
		_, err := fmt.Fprintln(to, "nothing was gained: the bundle stays as it was; more text may help, from --text FILE or by --tokens")
		return err
	}
	for _, m := range t.Draft.Measured {
		fmt.Fprintf(to, "%s: the draft agrees with the whole model on %.3f of tokens", m.Kind, m.Agreement)
		if e, ok := t.Exit.ByKind[m.Kind]; ok {
			fmt.Fprintf(to, ", exit %d on %.3f", t.Exit.Exit, e.Agreement)
		}
		for i, c := range m.PerCheck {
			fmt.Fprintf(to, "%s%.2f", []string{"; tokens a check of drafts of 2, 4 and 8: ", ", "}[min(i, 1)], c.Tokens)
		}
		fmt.Fprintln(to)
	}
	if f := t.Draft.FreeText; f != nil {
		fmt.Fprintln(to, "the draft:", f.Text())
	}
	if f := t.Exit.FreeText; f != nil {
		fmt.Fprintf(to, "exit %d: %s\n", t.Exit.Exit, f.Text())
	}
	_, err := fmt.Fprintf(to, "the draft costs %.3g of a pass of the whole model; it is the bundle's draft model now\n", t.Draft.Cost)
	return err
}
