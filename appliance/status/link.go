package status

import (
	"fmt"
	"strings"
	"time"
)

// LinkFacts are what there is to say of the link, each with what it is about; none where
// no cloud is wanted.
func LinkFacts(s Status) (facts [][2]string) {
	l := s.Link
	if !l.Wanted {
		return nil
	}
	say := func(about, what string) { facts = append(facts, [2]string{about, what}) }
	say("cloud", l.Cloud)
	say("state", l.State+", "+l.Reason)
	if l.Connected {
		say("for", Span(s.Time.Sub(l.Since)))
		say("by", strings.TrimSuffix(l.Transport+", "+l.WhyThat, ", "))
		say("round trip", Millis(l.RTTms))
		say("loss", Percent(l.Loss))
		if l.Goodput > 0 { // known once rows have gone up
			say("goodput up", Bytes(l.Goodput)+"/s")
		}
	} else {
		say("down for", Span(s.Time.Sub(l.Since)))
		if l.OtherError() != "" {
			say("last error", l.LastError)
		}
		if wait := l.NextDial.Sub(s.Time); wait > 0 {
			say("next try", "in "+Span(wait)+" (skerry link retry: now)")
		}
	}
	if l.Pull != "" {
		say("to do", "serve this model there (skerry cloud --bundle DIR), or take the one that it has ("+l.Pull+")")
	}
	if l.Breaches > 0 {
		say("protocol", fmt.Sprintf("broken by the cloud %d times, last %s ago: %s", l.Breaches, Span(s.Time.Sub(l.BreachAt)), l.Breach))
	}
	if l.Unanswered > 0 {
		say("unanswered", fmt.Sprintf("%d waits, the last %s ago", l.Unanswered, Span(s.Time.Sub(l.UnansweredAt))))
	}
	say("it may see", l.May)
	month := l.traffic()
	if l.Budget > 0 {
		month += " of " + Bytes(l.Budget)
	}
	say("this month", month)
	if !l.Expires.IsZero() {
		say("certificate", "until "+l.Expires.Format(time.DateOnly))
	}
	if len(l.Hour) > 0 {
		say("last hour", Marks(l.Hour))
	}
	return facts
}

// InTrouble reports whether a link that is wanted is down, or the cloud refuses this board.
func (l Link) InTrouble() bool {
	return l.Wanted && (!l.Connected || l.State == LinkRefused)
}

// minuteMarks are what stands for a minute in Marks.
var minuteMarks = map[string]byte{"good": '=', "fair": '-', "poor": '.', "down": 'x'}

// MarksLegend says what the marks mean.
const MarksLegend = "(a minute each: = good, - fair, . poor, x down)"

// Marks of the minutes' states, one each, as MarksLegend has them; a space where the state
// is not known.
func Marks(minutes []Minute) string {
	var b strings.Builder
	for _, m := range minutes {
		mark, ok := minuteMarks[m.State]
		if !ok {
			mark = ' '
		}
		b.WriteByte(mark)
	}
	return b.String()
}
