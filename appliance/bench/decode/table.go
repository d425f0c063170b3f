package decode

import (
	"fmt"
	"io"
	"maps"
	"skerry/appliance/bench"
	"slices"
	"strings"
)

// row is a line of a table; a table's first row is its head.
type row = []string

// WriteText writes the report as tables for a terminal.
func (r Report) WriteText(w io.Writer) error {
	for i, name := range r.names() {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, r[name].headline(name))
		for _, t := range r[name].tables() {
			if err := t.WriteText(w); err != nil {
				return err
			}
		}
	}
	return nil
}

// WriteMarkdown writes the same tables for a README.
func (r Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	for _, name := range r.names() {
		fmt.Fprintf(&b, "## %s\n\n%s\n", name, r[name].headline(name))
		for _, t := range r[name].tables() {
			b.WriteString(t.Markdown())
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// names puts smaller models first.
func (r Report) names() []string {
	return slices.SortedFunc(maps.Keys(r), func(a, b string) int {
		return int(r[a].Model.WholeBytes>>10 - r[b].Model.WholeBytes>>10)
	})
}

func (m *ModelReport) headline(name string) string {
	s := fmt.Sprintf("%s: %d blocks, exits after %s, %.0f MB; %s kernels, %d of %d cores, poll %d", name, m.Model.Blocks,
		strings.Trim(strings.ReplaceAll(fmt.Sprint(m.Model.Exits), " ", " and "), "[]"), float64(m.Model.WholeBytes)/1e6,
		m.Run.Kernels.Variant, m.Run.Threads, m.Run.Cores, m.Run.Poll)
	if q := m.Run.Bandwidth; q != nil {
		s += fmt.Sprintf("; memory reads %.1f GB/s", q.P50)
	}
	if m.Peer.Name != "" {
		return s + "; peer " + m.Peer.Name
	}
	return s + "; no peer: " + m.Peer.Reason
}

func (m *ModelReport) tables() []bench.Table {
	t := []bench.Table{
		m.phaseTable("decode", "ms/token", fmt.Sprintf("batch of 1, %d tokens after a prompt of %d, %d rounds", m.Decode.Tokens, shortPrompt, m.Decode.Rounds), m.Decode),
		m.phaseTable("prompt", "ms", fmt.Sprintf("%d tokens, logits of the last, %d rounds", m.Prompt.Tokens, m.Prompt.Rounds), m.Prompt),
	}
	if len(m.Batch) > 0 {
		t = append(t, m.batchTable())
	}
	if len(m.Targets) > 0 {
		t = append(t, m.targetTable())
	}
	return t
}

func (m *ModelReport) phaseTable(title, unit, note string, p Phase) bench.Table {
	t := bench.Table{Title: title, Note: note + "; throughput over that of the same round, quartiles", Rows: []row{{"", unit, "over unsplit", "p25 to p75"}}}
	add := func(name, sample string, q *bench.Quartiles) {
		ms := p.Milliseconds[sample]
		if ms == nil || q == nil {
			return
		}
		t.Rows = append(t.Rows, row{name, fmt.Sprintf("%.2f", ms.P50), fmt.Sprintf("%.3f", q.P50), spread(q)})
	}
	add("unsplit", unsplit, &bench.Quartiles{P25: 1, P50: 1, P75: 1})
	add("chained", chained, p.Chained)
	for _, e := range p.Exits {
		add(e.label(m.Model.Blocks), exitName(e.Blocks, e.Head.Kind), e.OverUnsplit)
	}
	if q := p.OverPeer; q != nil {
		inverse := q.Inverse()
		add("peer", peer, &inverse)
		t.Rows = append(t.Rows, row{"unsplit over peer", "", fmt.Sprintf("%.3f", q.P50), spread(q)})
	}
	if q := p.ChainedOverPeer; q != nil {
		t.Rows = append(t.Rows, row{"chained over peer", "", fmt.Sprintf("%.3f", q.P50), spread(q)})
	}
	if q := p.Bandwidth; q != nil {
		t.Rows = append(t.Rows, row{"unsplit's share of memory bandwidth", "", fmt.Sprintf("%.3f", q.P50), spread(q)})
	}
	return t
}

// label names an exit and its head for people.
func (e ExitReport) label(blocks int) string {
	if e.Head.Kind == Shortlist {
		return fmt.Sprintf("exit after %d of %d, shortlist of %d and translator", e.Blocks, blocks, e.Head.Rows)
	}
	return fmt.Sprintf("exit after %d of %d, whole vocabulary of %d", e.Blocks, blocks, e.Head.Rows)
}

func (m *ModelReport) batchTable() bench.Table {
	t := bench.Table{Title: "batch", Note: fmt.Sprintf("unsplit, after %d positions; m is the cost of a further position as a share of a pass of 1", batchStart),
		Rows: []row{{"threads", "batch", "logits of", "ms", "m", "p25 to p75"}}}
	for _, c := range m.Batch {
		r := row{fmt.Sprint(c.Threads), fmt.Sprint(c.Batch), c.Logits, "", "", ""}
		if c.Milliseconds != nil {
			r[3] = fmt.Sprintf("%.1f", c.Milliseconds.P50)
		}
		if c.M != nil {
			r[4], r[5] = fmt.Sprintf("%.3f", c.M.P50), spread(c.M)
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

func (m *ModelReport) targetTable() bench.Table {
	t := bench.Table{Title: "targets", Note: "medians", Rows: []row{{"", "wanted", "measured", ""}}}
	for _, o := range m.Targets {
		switch {
		case o.Got == nil:
			t.Rows = append(t.Rows, row{o.Name, fmt.Sprint(o.Want), "-", "not measured"})
		case o.Met:
			t.Rows = append(t.Rows, row{o.Name, fmt.Sprint(o.Want), fmt.Sprintf("%.3f", o.Got.P50), "met"})
		default:
			t.Rows = append(t.Rows, row{o.Name, fmt.Sprint(o.Want), fmt.Sprintf("%.3f", o.Got.P50), fmt.Sprintf("short by %.3f", o.Want-o.Got.P50)})
		}
	}
	return t
}

func spread(q *bench.Quartiles) string { return fmt.Sprintf("%.3f to %.3f", q.P25, q.P75) }
