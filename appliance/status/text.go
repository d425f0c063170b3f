package status

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"skerry/appliance/infer"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	labelWidth = 9
	leastWidth = 40
)

// Text writes the status for a terminal so many characters wide (0: 80), without
// control characters, whatever is in it.
func Text(w io.Writer, s Status, width int) error { return writeText(w, s, width, false) }

// ASCII writes what Text does for a terminal that knows nothing but ASCII.
func ASCII(w io.Writer, s Status, width int) error { return writeText(w, s, width, true) }

func writeText(w io.Writer, s Status, width int, ascii bool) error {
	t := &text{out: bufio.NewWriter(w), width: max(cmp.Or(width, 80), leastWidth), ascii: ascii}
	t.head(s)
	t.health(s.Health)
	t.model(s)
	t.link(s)
	t.tokens(s)
	t.board(s)
	t.sessions(s)
	return t.out.Flush()
}

// text writes labelled paragraphs. Its writer keeps the first error.
type text struct {
	out   *bufio.Writer
	width int
	ascii bool
}

// field writes sentences behind a label, each on a line of its own, wrapped.
func (t *text) field(label string, sentences ...string) {
	for _, s := range sentences {
		if s == "" {
			continue
		}
		t.wrap(label, s)
		label = ""
	}
}

func (t *text) wrap(label, sentence string) {
	line := fmt.Sprintf("%-*s", labelWidth, label)
	empty := true
	for _, word := range strings.Fields(sentence) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > t.width {
			t.line(line)
			line, empty = strings.Repeat(" ", labelWidth), true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	t.line(line)
}

// line writes one, cut to the width.
func (t *text) line(s string) {
	s = clean(s, 4*t.width)
	if t.ascii {
		s = toASCII(s)
	}
	if r := []rune(s); len(r) > t.width {
		s = string(r[:t.width])
	}
	t.out.WriteString(strings.TrimRight(s, " ") + "\n")
}

// ends writes one text at each end of a line, or one below the other.
func (t *text) ends(left, right string) {
	gap := t.width - utf8.RuneCountInString(left) - utf8.RuneCountInString(right)
	if gap < 2 {
		t.line(left)
		t.line(right)
		return
	}
	t.line(left + strings.Repeat(" ", gap) + right)
}

func (t *text) head(s Status) {
	up := ""
	if d := s.Time.Sub(s.Started); d >= time.Second {
		up = ", up " + Span(d)
	}
	t.ends("skerry "+s.Version+" on "+cmp.Or(s.Name, "this board"), s.Summary()+up)
	if s.Progress != nil {
		t.line(s.Progress.What)
	}
	for _, u := range s.URLs {
		t.line(u)
	}
	t.field("update", s.Update.Says())
	t.field("bundle", s.Update.SaysBundle())
	t.line("")
}

func (t *text) health(problems []Problem) {
	for _, p := range problems {
		t.field(strings.ToUpper(string(p.Severity)), p.Title, p.Text)
		if p.Do != "" {
			t.field("", "what to do: "+p.Do)
		}
	}
	if len(problems) > 0 {
		t.line("")
	}
}

func (t *text) model(s Status) {
	if s.Mode != "" {
		t.field("mode", reasonable(s.Mode, s.Why), s.Outlook.Says())
	}
	m := s.Model
	if m == nil {
		if s.State == NoModel {
			t.field("model", "none: "+FetchCommand+" fetches one")
		} else {
			t.field("model", "not loaded yet")
		}
		return
	}
	t.field("model", fmt.Sprintf("%s, %s, %s, context %d, %d at once, weights %s, KV cache %s", m.Name, m.Quantization, Plural(m.Blocks, "block"), m.Context, m.Parallel, Bytes(m.WeightBytes), Bytes(m.KVBytes)))
	if m.GPULayers != "" {
		t.field("", fmt.Sprintf("on the GPU: %s, %s", m.GPULayers, Bytes(m.GPUBytes)))
	}
	for _, st := range m.Stages {
		size := ""
		if st.Bytes > 0 {
			size = ", " + Bytes(st.Bytes)
		}
		t.field("", fmt.Sprintf("blocks %s: %s%s", st.Range(), st.Where, size))
	}
	if s.Link.Wanted && m.Alone != "" {
		t.field("", "without the cloud: "+m.Alone)
	}
	if d := m.Draft; d != nil {
		t.field("", fmt.Sprintf("draft model %s, %s, %s", d.Name, Bytes(d.Bytes), d.Says()))
	}
	for i, e := range m.Exits {
		t.field("", fmt.Sprintf("exit %d, after %s, %s", i+1, Plural(e.Block, "block"), e.Says()))
	}
	if c := s.Calibration; c != nil {
		t.field("", c.Says())
	}
	t.models(s)
}

// models are those that are loaded beside the one that is shown in full.
func (t *text) models(s Status) {
	label := "others"
	for _, m := range s.Models {
		if s.Model != nil && m.Bundle == s.Model.Bundle {
			continue
		}
		t.field(label, fmt.Sprintf("%s, %s, context %d, %s, used by %s, %s", m.Name, cmp.Or(m.Quantization, "not loaded yet"), m.Context, Bytes(m.WeightBytes+m.KVBytes), Plural(m.Users, "request"), m.Stays(s.Time)))
		if m.CloudLacks != "" {
			t.field("", "answered on this board alone: "+m.CloudLacks)
		}
		label = ""
	}
}

func (t *text) link(s Status) {
	l := s.Link
	if !l.Wanted {
		t.field("link", "no cloud: "+EnrollCommand+" enrols this board with one")
		return
	}
	t.field("link", reasonable(l.State, l.Reason))
	if l.Connected {
		t.field("", fmt.Sprintf("%s over %s since %s, %s/s up, may see %s", l.Cloud, l.Transport, clock(l.Since), Bytes(l.Goodput), l.Sees()))
	} else {
		t.field("", l.Cloud+": "+cmp.Or(l.LastError, "not connected"))
		if wait := l.NextDial.Sub(s.Time); wait > 0 {
			t.field("", "next attempt in "+Span(wait))
		}
	}
	t.field("", "this month "+l.Month())
	if len(l.Hour) > 0 {
		shown := l.Hour[max(0, len(l.Hour)-t.width+labelWidth):]
		t.field("", fmt.Sprintf("the last %d min, a letter a minute (good fair poor Down):", len(shown)), Letters(shown))
	}
	for _, c := range s.Changes[max(0, len(s.Changes)-3):] {
		t.field("", fmt.Sprintf("%s to %s, %s", clock(c.Time), c.To, c.Reason))
	}
}

// Letters of the minutes' states, one each: g, f, p, and D where it was down.
func Letters(minutes []Minute) string {
	var b strings.Builder
	for _, m := range minutes {
		switch m.State {
		case "good", "fair", "poor":
			b.WriteByte(m.State[0])
		case "down":
			b.WriteByte('D')
		default:
			b.WriteByte('-')
		}
	}
	return b.String()
}

func (t *text) tokens(s Status) {
	k := s.Tokens
	shares := Shares(k.Recent)
	if len(shares) == 0 {
		t.field("tokens", "none yet")
	} else {
		total := 0
		for _, n := range k.Recent {
			total += n
		}
		t.field("tokens", fmt.Sprintf("%.1f/s, the first after %s; the last %d came from:", k.Rate, Millis(k.FirstMS), total), percentages(shares, func(n string) string { return infer.Source(n).Info().Name }), t.bar(shares))
		if why := Shares(k.Reasons); len(why) > 0 {
			t.field("", "why not the cloud: "+percentages(why, func(n string) string { return n }))
		}
	}
	t.field("queue", fmt.Sprintf("%d running, %d waiting of %d, %d refused", s.Queue.Running, s.Queue.Waiting, s.Queue.Limit, s.Queue.Refused))
}

func percentages(shares []Share, name func(string) string) string {
	var parts []string
	for _, s := range shares {
		parts = append(parts, name(s.Name)+" "+Percent(s.Of))
	}
	return strings.Join(parts, ", ")
}

// bar of the sources' letters.
func (t *text) bar(shares []Share) string {
	cells := min(60, t.width-labelWidth-2)
	var b strings.Builder
	var sum float64
	for _, s := range shares {
		sum += s.Of
		for b.Len() < int(sum*float64(cells)+0.5) {
			b.WriteString(infer.Source(s.Name).Info().Letter)
		}
	}
	return "[" + b.String() + "]"
}

func (t *text) board(s Status) {
	b := s.Board
	t.field("board", fmt.Sprintf("%s, computing on %d of %s, load %.2f", cmp.Or(b.Model, "unknown"), b.Threads, Plural(b.Cores, "core"), b.Load), b.Memory())
	var readings []string
	for _, r := range b.Shown() {
		readings = append(readings, r.Name+" "+r.Reading())
	}
	t.field("", strings.Join(readings, ", "))
	for _, e := range b.SensorErrors {
		t.field("", e.Kind+" cannot be read: "+e.Err)
	}
	if b.Throttled != "" {
		t.field("", "throttled: "+b.Throttled)
	}
	if s.Kernels.Name != "" {
		t.field("kernels", fmt.Sprintf("%s on %s%s", s.Kernels.Name, s.Kernels.Device, s.Kernels.Slow()))
	}
	t.field("GPU", cmp.Or(s.Kernels.GPU, s.Kernels.GPUNot))
	if d := s.Storage; d.Path != "" {
		t.field("storage", fmt.Sprintf("%s on %s, %s of %s free, database %s", d.Path, cmp.Or(d.Medium, "a disk"), Bytes(d.FreeBytes), Bytes(d.TotalBytes), Bytes(d.DBBytes)))
		if d.SetAside != "" {
			t.field("", "the database was damaged and moved to "+d.SetAside)
		}
		t.field("", d.Err)
	}
}

// Slow says so of the portable kernels.
func (k Kernels) Slow() string {
	if k.Portable {
		return ": slow, portable ones; skerry doctor says why"
	}
	return ""
}

func (t *text) sessions(s Status) {
	const shown = 12
	for i, n := range s.Sessions {
		if i == shown {
			t.field("", fmt.Sprintf("and %d more: skerry sessions ls", max(s.SessionCount, len(s.Sessions))-shown))
			return
		}
		label := ""
		if i == 0 {
			label = "sessions"
		}
		t.field(label, fmt.Sprintf("%s: %s, %s, %s", n.ID, n.State, Plural(n.Tokens, "token"), cmp.Or(n.Client, "local")))
		if n.NoDraft != "" {
			t.field("", "without the draft model: "+n.NoDraft)
		}
	}
}

func clock(t time.Time) string { return t.UTC().Format("15:04") }

// toASCII spells what is not ASCII, as far as it is known.
func toASCII(s string) string {
	s = strings.NewReplacer("°C", "C", "–", "-", "…", "...", "×", "x", "µ", "u").Replace(s)
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return '?'
		}
		return r
	}, s)
}
