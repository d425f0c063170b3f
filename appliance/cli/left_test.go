package cli

import (
	"testing"
	"time"
)

// The time left follows the rate of late, not what was there before.
func TestTimeLeft(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	var l timeLeft
	l.see(start, 0)
	if got := l.of(1000); got != "" {
		t.Errorf("before anything is known: %q", got)
	}
	l.see(start.Add(5*time.Second), 400) // at once, as it was kept from before
	for i := range 40 {
		l.see(start.Add(time.Duration(6*i+11)*time.Second), 400+int64(i+1)*6) // one a second
	}
	for total, want := range map[int64]string{
		640: "", 670: "less than a minute left", 715: "about a minute left", 1240: "about 10 minutes left", 640 + 3*3600: "about 3 hours left",
	} {
		if got := l.of(total); got != want {
			t.Errorf("of %d: %q, not %q", total, got, want)
		}
	}
	l.see(start.Add(time.Hour), 3) // another step
	if got := l.of(1000); got != "" {
		t.Errorf("of another step: %q", got)
	}
}
