package status

import (
	"bytes"
	"fmt"
	"strings"
)

// Line is the status in one line.
func Line(s Status) string {
	parts := []string{s.Time.Local().Format("15:04:05"), string(s.State)}
	if p := s.Progress; p != nil {
		parts = append(parts, p.What)
		if p.Share >= 0 {
			parts = append(parts, Percent(p.Share))
		}
	}
	if s.Mode != "" {
		parts = append(parts, s.Mode)
	}
	if s.Link.Wanted {
		link := "link " + s.Link.State
		if s.Link.Connected {
			link += " " + Millis(s.Link.RTTms)
		}
		parts = append(parts, link)
	}
	parts = append(parts, fmt.Sprintf("%.1f tokens/s", s.Tokens.Rate), fmt.Sprintf("%d running", s.Queue.Running))
	if s.Queue.Waiting > 0 {
		parts = append(parts, fmt.Sprintf("%d waiting", s.Queue.Waiting))
	}
	for _, p := range s.Health {
		if p.Severity != Notice {
			parts = append(parts, p.Title)
		}
	}
	return clean(strings.Join(parts, "  "), 1000)
}

// Screen is the status as the bytes that paint it over what a terminal of that size
// shows. What is too much for it is left out above a last line that sums it up.
func Screen(s Status, wrong error, width, height int) []byte {
	var text bytes.Buffer
	last := Line(s)
	if wrong != nil {
		for _, l := range Wrap(OneLine(wrong), width) {
			fmt.Fprintln(&text, l)
		}
		fmt.Fprintln(&text)
		last = "last heard of: " + last
	}
	Text(&text, s, width)
	lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	if room := max(height-2, 1); len(lines) > room {
		lines = append(lines[:room-1], "…")
	}
	if r := []rune(last); len(r) > width {
		last = string(r[:max(width-1, 0)]) + "…"
	}
	return []byte("\x1b[H" + strings.Join(append(lines, "", last), "\x1b[K\n") + "\x1b[K\x1b[J")
}
