package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Sources of tokens, in the order in which they are shown.
var Sources = []SourceName{
	{"exit1", "1", "exit 1", "the board, at its first exit"},
	{"exit2", "2", "exit 2", "the board, at its second exit"},
	{"cloud", "C", "cloud", "the whole model; the cloud computed the rest"},
	{"fallback", "F", "fallback", "the board, unsure: the cloud did not answer in time or could not be asked"},
	{"unsplit", "U", "unsplit", "the whole model, on this board"},
}

// SourceName is how one is shown: by a letter where there is no room.
type SourceName struct{ Key, Letter, Name, Meaning string }

// SourceOf finds one by its key; one that is not known is shown as it is.
func SourceOf(key string) SourceName {
	for _, s := range Sources {
		if s.Key == key {
			return s
		}
	}
	return SourceName{key, "?", key, ""}
}

// reasons why the cloud did not say a token.
var reasons = map[string]string{
	"confident":    "an exit was sure",
	"standalone":   "the mode never asks",
	"unsplit":      "there is no cloud in this mode",
	"deadline":     "asked, and no answer in time",
	"too slow":     "not asked: no answer was to be expected in time",
	"link down":    "not asked: the link was down",
	"link lost":    "asked, and the link went",
	"link poor":    "not asked: the link was poor and the board led",
	"cloud busy":   "the cloud refused, or asked to be left alone for a while",
	"answers owed": "not asked: too many late answers were still owed",
}

// ReasonMeans explains a reason of Tokens.Reasons, "" where it is not known.
func ReasonMeans(reason string) string { return reasons[reason] }

// Share of a whole.
type Share struct {
	Name  string
	Count int
	Of    float64 // 0 to 1
}

// Shares of the counts: sources in their order, all else the largest first. Those
// of 0 are left out.
func Shares(counts map[string]int) (shares []Share) {
	var total int
	for _, n := range counts {
		total += n
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[name]; n > 0 {
			shares = append(shares, Share{name, n, float64(n) / float64(total)})
		}
	}
	place := func(s Share) int {
		if i := slices.IndexFunc(Sources, func(n SourceName) bool { return n.Key == s.Name }); i >= 0 {
			return i
		}
		return len(Sources)
	}
	slices.SortStableFunc(shares, func(a, b Share) int {
		if c := cmp.Compare(place(a), place(b)); c != 0 || place(a) < len(Sources) {
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
	if !e.Calibrated {
		return fmt.Sprintf("speaks from a confidence of %.2f, not calibrated", e.Threshold)
	}
	return fmt.Sprintf("speaks from a confidence of %.2f, and then agrees with the whole model on %s", e.Threshold, Percent(e.Agreement))
}

// Sees is what the cloud may see of what is asked and said.
func (l Link) Sees() string {
	if l.May == "hidden" {
		return "hidden states"
	}
	return cmp.Or(l.May, "nothing")
}

// Month is what went over the link in this one.
func (l Link) Month() string {
	text := Bytes(l.BytesUp) + " up, " + Bytes(l.BytesDown) + " down"
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
