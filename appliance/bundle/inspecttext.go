package bundle

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"skerry/appliance/status"
)

// Text is what a bundle is made of, as lines for a terminal; the exits aside.
func (in *Inspection) Text() string {
	var b strings.Builder
	m := in.Manifest
	id := m.ID()
	fmt.Fprintf(&b, "%s  %s, %d blocks, width %d, vocabulary %d, context %d\n", m.Name, m.Architecture, m.Blocks, m.Embedding, m.Vocab, m.ContextLength)
	fmt.Fprintf(&b, "bundle %x  exits after %v  type %s\n", id[:8], m.Exits, m.Type)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range m.Stages {
		fmt.Fprintf(w, "%s\tblocks %d to %d\t%s\t%s\n", s.Role, s.From, s.To, status.Bytes(s.Bytes), s.SHA256[:16])
	}
	if d := m.Draft; d != nil {
		fmt.Fprintf(w, "%s\tblocks 0 to %d\t%s\t%s\n", DraftModel, d.Blocks, status.Bytes(d.Bytes), d.SHA256[:16])
	}
	if p := m.Projector; p != nil {
		fmt.Fprintf(w, "projector\timages\t%s\t%s\n", status.Bytes(p.Bytes), p.SHA256[:16])
	}
	w.Flush() // a builder takes everything
	fmt.Fprintf(&b, "the board's files are %.3f of the whole model's\n", in.BoardRatio)
	if p := m.Projector; p != nil {
		fmt.Fprintf(&b, "projector: %s, %s, images of %d pixels a side, each part %s\n", p.Kind, status.Plural(p.Blocks, "block"), p.Image, status.Plural(p.Rows, "token"))
	}
	if d := m.Draft; d != nil {
		fmt.Fprintf(&b, "draft: %s, %s, %s, %.3f of the whole model's bytes, %s in common; %s\n",
			d.Name, d.Architecture, status.Plural(d.Blocks, "block"), in.DraftRatio, status.Plural(d.Tokens, "token"), d.Worth())
		if d.Bound != nil {
			fmt.Fprintln(&b, d.Bound.Text("the draft"))
		}
		if d.FreeText != nil {
			fmt.Fprintf(&b, "draft: %s; it begins: %s\n", d.FreeText.Text(), d.FreeText.Sample)
		}
	}
	return b.String()
}

// Worth says what was measured of a draft.
func (d *Draft) Worth() string {
	if len(d.Measured) == 0 {
		return "nothing is measured of it: skerry model calibrate DIR --draft-only does"
	}
	var kinds []string
	for _, k := range d.Measured {
		kind := fmt.Sprintf("%.3f of %s accepted", k.Agreement, k.Kind)
		if len(k.PerCheck) > 0 {
			kind += " (" + perCheckText(k.PerCheck, k.AfterLookup) + ")"
		}
		kinds = append(kinds, kind)
	}
	return strings.Join(kinds, ", ") + fmt.Sprintf("; a token costs %.3f of the whole model's, %s", d.Cost, d.believed())
}

// perCheckText says how many tokens come of a check.
func perCheckText(alone, afterLookup []PerCheck) string {
	var tokens, drafts, looked []string
	for i, c := range alone {
		drafts, tokens = append(drafts, fmt.Sprint(c.Drafts)), append(tokens, fmt.Sprintf("%.2f", c.Tokens))
		if i < len(afterLookup) {
			looked = append(looked, fmt.Sprintf("%.2f", afterLookup[i].Tokens))
		}
	}
	s := fmt.Sprintf("tokens a check of %s drafts: %s", strings.Join(drafts, ", "), strings.Join(tokens, ", "))
	if len(looked) > 0 {
		s += fmt.Sprintf("; %s after prompt lookup", strings.Join(looked, ", "))
	}
	return s
}

// ChecksText says how many tokens come of a check of what the exits draft, as a line without
// its end; nothing where that was not measured.
func (c *Calibration) ChecksText() string {
	if c == nil || len(c.PerCheck) == 0 {
		return ""
	}
	return "the exits, " + perCheckText(c.PerCheck, c.AfterLookup)
}

// believed says from which confidence on the draft is.
func (d *Draft) believed() string {
	if d.Threshold > 1 {
		return "and it is never believed unchecked"
	}
	from := fmt.Sprintf("and it is believed unchecked from confidence %.3g", d.Threshold)
	if d.Bound == nil { // nothing is promised of other texts
		from += " (chosen on the texts it was measured on)"
	}
	return from
}

// Text says what was promised, as a line without its end.
func (b *DisagreementBound) Text(who string) string {
	if b.Threshold > 1 {
		return fmt.Sprintf("%s is never believed: no confidence is known from which it would disagree on at most %.3g of tokens, with a probability of %.2g (%d documents)", who, b.Most, b.Probability, b.Documents)
	}
	s := fmt.Sprintf("believed from %.3g on, %s disagrees on at most %.3g of tokens, with a probability of %.2g (measured %.3g on %d documents",
		b.Threshold, who, b.Most, b.Probability, b.Measured, b.Documents)
	if b.Resampled > 0 {
		s += fmt.Sprintf("; of %d resamplings of them %d keep to it", b.Resampled, b.Held)
	}
	return s + ")"
}

// Write prints all that is to be known of the bundle in dir.
func (i *Inspection) Write(w io.Writer, dir string) error {
	m := i.Manifest
	fmt.Fprint(w, i.Text())
	for _, h := range m.Heads {
		if h.Kind == HeadModel {
			fmt.Fprintf(w, "exit %d: the model's own norm and LM head; skerry model calibrate %s fits a better one\n", h.Exit, dir)
		} else {
			fmt.Fprintf(w, "exit %d: fitted, %d tokens, believed from confidence %.3g, where it agrees with the whole model on %.3f\n",
				h.Exit, h.Shortlist, h.Threshold, h.ThresholdAgreement())
		}
		if h.FreeText != nil {
			fmt.Fprintf(w, "exit %d: %s; it begins: %s\n", h.Exit, h.FreeText.Text(), h.FreeText.Sample)
		}
	}
	if text := m.Calibration.ChecksText(); text != "" {
		fmt.Fprintln(w, text)
	}
	if err := m.WriteTrust(w); err != nil {
		return err
	}
	if err := m.DrawTrust(w); err != nil {
		return err
	}
	if p := m.Parity; p != nil {
		fmt.Fprintf(w, "parity: %d of %d tokens equal, logits within %g (%s kernels)\n", p.EqualTokens, p.Positions, p.MaxAbsDiff, p.Kernels)
	}
	return nil
}
