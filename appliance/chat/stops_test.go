package chat

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	_ "skerry/build/testseed" // of rapid
)

func TestStops(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune("ab\né")), 0, 12, -1), 0, 8).Draw(t, "pieces")
		text := strings.Join(pieces, "")
		stops := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune("ab\né")), 0, 4, -1), 0, 3).Draw(t, "stops")
		want, end := text, len(text)+1
		for _, s := range stops {
			i := strings.Index(text, s)
			if s != "" && i >= 0 && (i+len(s) < end || i+len(s) == end && i < len(want)) {
				want, end = text[:i], i+len(s)
			}
		}
		s, out := NewStops(stops), ""
		for _, piece := range pieces {
			out += s.Push(piece)
		}
		out += s.End()
		if out != want || (s.Hit() != "") != (end <= len(text)) {
			t.Fatalf("%q by %q: %q (%q), want %q", text, stops, out, s.Hit(), want)
		}
	})
}

func TestStopsHoldOnlyWhatTheyMust(t *testing.T) {
	s := NewStops([]string{"END", "\n\n"})
	for _, c := range [][2]string{{"one E", "one "}, {"N", ""}, {"T\n", "ENT"}, {"x", "\nx"}, {"\n\ny", ""}, {"more", ""}} {
		if out := s.Push(c[0]); out != c[1] {
			t.Errorf("%q: %q, want %q", c[0], out, c[1])
		}
	}
	if s.Hit() != "\n\n" || s.End() != "" {
		t.Error(s.Hit())
	}
}
