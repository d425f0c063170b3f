package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"skerry/appliance/infer"
)

// Share of a whole.
type Share struct {
	Name  string
	Count int
	Of    float64 // 0 to 1
}

// Shares of the counts: sources in their order, all else the largest first. Those
// of 0 are left out.
func Shares[Name ~string](counts map[Name]int) (shares []Share) {
	var total int
	for _, n := range counts {
		total += n
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[name]; n > 0 {
			shares = append(shares, Share{string(name), n, float64(n) / float64(total)})
		}
	}
	place := func(s Share) int {
		if i := slices.IndexFunc(infer.Sources, func(n infer.SourceInfo) bool { return string(n.Key) == s.Name }); i >= 0 {
			return i
		}
		return len(infer.Sources)
	}
	slices.SortStableFunc(shares, func(a, b Share) int {
		if c := cmp.Compare(place(a), place(b)); c != 0 || place(a) < len(infer.Sources) {
			return c
		}
		return cmp.Compare(b.Count, a.Count)
	})
	return shares
}

// Reading of a sensor, with its unit.
func (s Sensor) Reading() string {
	switch {
	case s.Unit == "Hz" && s.Value >= 1e9:
		return fmt.Sprintf("%.1f GHz", s.Value/1e9)
	case s.Unit == "Hz" && s.Value >= 1e6:
		return fmt.Sprintf("%.0f MHz", s.Value/1e6)
	case s.Unit == "W" || s.Unit == "V" || s.Unit == "A":
		return fmt.Sprintf("%.1f %s", s.Value, s.Unit)
	default:
		return fmt.Sprintf("%.0f %s", s.Value, s.Unit)
	}
}

// Memory as "2.3 of 8.5 GB used, 412 MB by skerry"; "" where it is not known.
func (b Board) Memory() string {
	if b.MemoryTotal == 0 {
		return ""
	}
	return fmt.Sprintf("%s of %s used, %s by skerry", Bytes(b.MemoryTotal-min(b.MemoryFree, b.MemoryTotal)), Bytes(b.MemoryTotal), Bytes(b.RSS))
}

// Range of blocks, as 0–9.
func (s Stage) Range() string {
	if s.To-s.From <= 1 {
		return fmt.Sprint(s.From)
	}
	return fmt.Sprintf("%d–%d", s.From, s.To-1)
}

// Says what the exit wants to be sure.
func (e Exit) Says() string {
	switch {
	case e.Calibrated && e.Threshold > 1:
		return "is never believed: it is too rarely right, however sure it is"
	case !e.Calibrated:
		return fmt.Sprintf("answers from a confidence of %.2f, not calibrated", e.Threshold)
	}
	return fmt.Sprintf("answers from a confidence of %.2f, and then agrees with the whole model on %s", e.Threshold, Percent(e.Agreement))
}

// Sees is what the cloud may see of what is asked and said.
func (l Link) Sees() string {
	if l.May == "hidden" {
		return "hidden states"
	}
	return cmp.Or(l.May, "nothing")
}

// OtherError is the last error, "" where the reason says it already.
func (l Link) OtherError() string {
	if l.Reason == l.LastError {
		return ""
	}
	return l.LastError
}

// traffic is what went over the link this month.
func (l Link) traffic() string { return Bytes(l.BytesUp) + " up, " + Bytes(l.BytesDown) + " down" }

// Month is what went over the link in this one, and how much of its budget that is.
func (l Link) Month() string {
	text := l.traffic()
	if l.Budget > 0 {
		text += fmt.Sprintf(": %s of %s", Percent(float64(l.BytesUp+l.BytesDown)/float64(l.Budget)), Bytes(l.Budget))
	}
	return text
}

// reasonable is the state and its reason, which may begin with it.
func reasonable(state, reason string) string {
	if reason == "" || strings.HasPrefix(reason, state) {
		return cmp.Or(reason, state)
	}
	return state + ": " + reason
}

// Degraded reports whether the daemon does not do all that it is to do.
func (s Status) Degraded() bool {
	return s.State != Ready || slices.ContainsFunc(s.Health, func(p Problem) bool { return p.Severity != Notice })
}

// Summary is the state and how far it is, in a few words.
func (s Status) Summary() string {
	if s.Progress == nil {
		return string(s.State)
	}
	text := string(s.State)
	if s.Progress.Share >= 0 {
		text += fmt.Sprintf(" %.0f %%", 100*s.Progress.Share)
	}
	if s.Progress.ETAs > 0 {
		text += ", " + Span(time.Duration(s.Progress.ETAs*float64(time.Second))) + " left"
	}
	return text
}

// Commands that mend an empty state.
const (
	FetchCommand  = "skerry model fetch"
	EnrollCommand = "skerry enroll CODE"
)

// Says is when the draft's tokens stand without the cloud, as the rest of a sentence.
func (d Draft) Says() string {
	if d.Threshold > 1 {
		return "is never believed without a check"
	}
	says := fmt.Sprintf("answers from a confidence of %.2f", d.Threshold)
	if !d.Measured {
		says += ", which nobody has measured for it"
	}
	return says
}
