package plan

import (
	"fmt"
	"io"
	"strings"

	"skerry/appliance/status"
)

// Text writes the plan for people: what to do, then a table of the modes that table prints.
func (p *Plan) Text(w io.Writer, table func(io.Writer, ...[]string) error) error {
	m := p.Model
	fmt.Fprintf(w, "model  %s: %s, %s of them on the board where it is split\n", m.Name, status.Bytes(m.WholeBytes), status.Bytes(m.BoardBytes))
	if len(p.Exits) > 0 {
		fmt.Fprintf(w, "split  after block %s of %d: %.0f %% of a pass before the first\n", strings.Trim(strings.ReplaceAll(fmt.Sprint(p.Exits), " ", " and "), "[]"), m.Blocks, 100*m.Split)
	}
	label := "draft "
	for _, d := range p.Drafts {
		text := fmt.Sprintf("%s, at best %s an answer", d.Mode, span(d.Total))
		if d.Lacking != "" {
			text = d.Lacking
		} else if d.Mode == "" {
			text = "no mode can use it"
		}
		fmt.Fprintf(w, "%s %s: %s\n", label, d.Name, text)
		label = "      "
	}
	fmt.Fprintf(w, "mode   %s: %s\n", p.Mode, p.Why)
	x := p.mode(p.Mode)
	fmt.Fprintf(w, "expect the first token after %s, then %.1f tokens/s; an answer of %s to a prompt of %d takes %s\n",
		span(x.First), 1/max(x.Token, 1e-9), status.Plural(p.Answer, "token"), p.Prompt, span(x.Total(p.Answer)))
	fmt.Fprintln(w)
	if err := table(w, p.rows()...); err != nil {
		return err
	}
	if len(p.Assumed) > 0 {
		fmt.Fprintln(w)
	}
	for _, a := range p.Assumed {
		fmt.Fprintln(w, a)
	}
	return nil
}

func (p *Plan) rows() [][]string {
	rows := [][]string{{"MODE", "FIRST TOKEN", "TOKENS/S", "DRAFTS", "ASKS/TOKEN", "BYTES/TOKEN", "CLOUD MS/TOKEN", "AGREEMENT", "NOTE"}}
	for _, x := range p.Modes {
		if x.Not != "" {
			rows = append(rows, []string{x.Mode, "", "", "", "", "", "", "", x.Not})
			continue
		}
		rows = append(rows, p.row(x))
	}
	return rows
}

func (p *Plan) row(x ModePlan) []string {
	note := ""
	switch {
	case x.Mode == p.Mode:
		note = "chosen"
	case x.Mode == p.Second:
		note = "second"
	case p.has != nil && !p.has(x.Mode):
		note = notHere
	}
	draft := x.With
	if n := max(x.Draft, x.Match); n > 0 {
		draft = fmt.Sprintf("%d, %s", n, x.With)
	}
	return []string{
		x.Mode, span(x.First), fmt.Sprintf("%.1f", 1/max(x.Token, 1e-9)), draft, fmt.Sprintf("%.2f", x.Asks), fmt.Sprintf("%.0f", x.Bytes),
		fmt.Sprintf("%.1f", 1000*x.Cloud), fmt.Sprintf("%.3f", x.Right), note,
	}
}

// span is a time for people.
func span(seconds float64) string {
	switch {
	case seconds < 1:
		return fmt.Sprintf("%.0f ms", 1000*seconds)
	case seconds < 100:
		return fmt.Sprintf("%.1f s", seconds)
	}
	return fmt.Sprintf("%.0f s", seconds)
}
