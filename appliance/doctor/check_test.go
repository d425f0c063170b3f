package doctor

import (
	"context"
	"strings"
	"testing"
)

// A check whose needs are not met is skipped with the first of them, each finding has the
// name of its check and is told as it is made, and nothing is looked at past the end of
// the context.
func TestLookAll(t *testing.T) {
	never := need[*int]{"a miracle", func(*int) bool { return false }}
	counted := need[*int]{"a count", func(n *int) bool { return *n > 0 }}
	ctx, cancel := context.WithCancel(t.Context())
	list := []check[*int]{
		{"early", []need[*int]{counted, never}, func(*int, context.Context) Findings { return pass("made") }},
		{"count", nil, func(n *int, _ context.Context) Findings { *n++; return append(pass("%d", *n), warn("low", "add")...) }},
		{"late", []need[*int]{counted}, func(*int, context.Context) Findings { cancel(); return fail("over", "go home") }},
		{"past", nil, func(*int, context.Context) Findings { return pass("made") }},
	}
	var told Findings
	found := lookAll(ctx, new(int), list, func(f Finding) { told = append(told, f) })
	want := "skip early: not without a count\nok count: 1\nwarn count: low\nfail late: over"
	if lines(found) != want || lines(told) != want {
		t.Errorf("%s\ntold %s", lines(found), lines(told))
	}
	if v := Verdict(found); v != "1 check failed, and 1 is worth a look." || !strings.HasPrefix(Verdict(nil), "All is well") {
		t.Error(v)
	}
}
