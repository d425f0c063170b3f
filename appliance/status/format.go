package status

import (
	"fmt"
	"time"
)

// Bytes of a size, as 512 B, 4.1 kB, 58 MB: the units of 1000.
func Bytes[N int | int64 | uint64 | float64](n N) string {
	x := float64(n)
	if x < 1000 {
		return fmt.Sprintf("%.0f B", x)
	}
	for _, unit := range []string{"kB", "MB", "GB"} {
		x /= 1000
		switch {
		case x < 9.95:
			return fmt.Sprintf("%.1f %s", x, unit)
		case x < 999.5:
			return fmt.Sprintf("%.0f %s", x, unit)
		}
	}
	return fmt.Sprintf("%.1f TB", x/1000)
}

// Plural is a count and its noun: "1 answer", "3 answers". A noun whose plural is not
// made by an s brings it along.
func Plural[N int | int64 | uint64](n N, noun string, plural ...string) string {
	switch {
	case n == 1:
	case len(plural) > 0:
		noun = plural[0]
	default:
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// Percent of a share, with a digit behind the point where that says more than 0.
func Percent(share float64) string {
	switch p := 100 * share; {
	case p == 0 || p >= 9.95:
		return fmt.Sprintf("%.0f %%", p)
	case p < 0.05:
		return "<0.1 %"
	default:
		return fmt.Sprintf("%.1f %%", p)
	}
}

// Span of time in its two largest units: 3 d 4 h, 12 min, 8 s.
func Span(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
}

// Millis as 0.4 ms, 38 ms, 1.2 s.
func Millis(ms float64) string {
	switch {
	case ms <= 0:
		return "0 ms"
	case ms < 9.95:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 999.5:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.1f s", ms/1000)
	}
}
