package bundle

import (
	"fmt"
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
	w.Flush() // a builder takes everything
	fmt.Fprintf(&b, "the board's files are %.3f of the whole model's\n", in.BoardRatio)
	if d := m.Draft; d != nil {
		fmt.Fprintf(&b, "draft: %s, %s, %s, %.3f of the whole model's bytes, %s in common; %s\n",
			d.Name, d.Architecture, status.Plural(d.Blocks, "block"), in.DraftRatio, status.Plural(d.Tokens, "token"), d.worth())
	}
	return b.String()
}

// worth says what was measured of a draft.
func (d *Draft) worth() string {
	if len(d.Measured) == 0 {
		return "nothing is measured of it"
	}
	var kinds []string
	for _, k := range d.Measured {
		kinds = append(kinds, fmt.Sprintf("%.3f of %s accepted", k.Acceptance, k.Kind))
	}
	return strings.Join(kinds, ", ")
}
