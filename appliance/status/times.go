package status

import (
	"fmt"
	"time"
)

// Since is how long ago t was, for people; "never" of the zero time.
func Since(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return Ago(now.Sub(t))
}

// Ago says that something was so long ago.
func Ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return Plural(int(d.Hours()/24), "day") + " ago"
}
