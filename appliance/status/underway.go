package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// busy are the states of sessions that are being answered, the busiest first.
var busy = []string{"decoding", "prefill", "queued"}

// UnderWay are the sessions that are being answered, those that compute first.
func UnderWay(sessions []Session) []Session {
	list := []Session{}
	for _, s := range sessions {
		if slices.Contains(busy, s.State) {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b Session) int {
		return cmp.Or(slices.Index(busy, a.State)-slices.Index(busy, b.State), a.Created.Compare(b.Created))
	})
	return list
}

// Where the model's blocks are computed, as "board 0-19, cloud 20-29".
func (m Model) Where() string {
	var merged []Stage
	for _, s := range m.Stages {
		if last := len(merged) - 1; last >= 0 && merged[last].Where == s.Where && merged[last].To == s.From {
			merged[last].To = s.To
		} else {
			merged = append(merged, s)
		}
	}
	var parts []string
	for _, s := range merged {
		parts = append(parts, fmt.Sprintf("%s %d-%d", s.Where, s.From, s.To-1))
	}
	return strings.Join(parts, ", ")
}
