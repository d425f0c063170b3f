package chat

import "strings"

// Stops looks for stop strings in a stream of text.
type Stops struct {
	stop []string
	held string
	hit  string
}

// NewStops makes a search for the first of the strings; empty ones are ignored.
func NewStops(stop []string) *Stops {
	s := &Stops{}
	for _, x := range stop {
		if x != "" {
			s.stop = append(s.stop, x)
		}
	}
	return s
}

// Push takes more text and returns what is safe to show: all before the stop string
// that is first complete, less what may yet become one. After a hit it returns nothing
// more. What it returns, joined, does not depend on how the text was cut.
func (s *Stops) Push(text string) string {
	if s.hit != "" {
		return ""
	}
	s.held += text
	at, end := len(s.held), len(s.held)+1
	for _, x := range s.stop {
		if i := strings.Index(s.held, x); i >= 0 && (i+len(x) < end || i+len(x) == end && i < at) {
			at, end, s.hit = i, i+len(x), x
		}
	}
	if s.hit == "" {
		for _, x := range s.stop {
			at = min(at, partial(s.held, x))
		}
	}
	out := s.held[:at]
	s.held = s.held[at:]
	return out
}

// partial is where the longest end of text that begins stop starts; len(text) for
// none.
func partial(text, stop string) int {
	for i := max(0, len(text)-len(stop)+1); i < len(text); i++ {
		if strings.HasPrefix(stop, text[i:]) {
			return i
		}
	}
	return len(text)
}

// Hit is the stop string that was met, "" for none yet.
func (s *Stops) Hit() string { return s.hit }

// End returns what was held back and has come to nothing.
func (s *Stops) End() string {
	if s.hit != "" {
		return ""
	}
	out := s.held
	s.held = ""
	return out
}
