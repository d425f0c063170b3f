package cli

import (
	"fmt"
	"time"
)

// timeLeft estimates how long a step will still take from how fast it went lately, so that
// what was done at once, since it was kept from before, does not count.
type timeLeft struct {
	at   time.Time
	done int64
	rate float64 // a second, smoothed; 0 while nothing is known
}

// sampleEvery is how far apart two samples of the rate are at least.
const sampleEvery = 5 * time.Second

// see takes note that done of the step is through now.
func (l *timeLeft) see(now time.Time, done int64) {
	if l.at.IsZero() || done < l.done {
		*l = timeLeft{at: now, done: done}
		return
	}
	past := now.Sub(l.at)
	if past < sampleEvery {
		return
	}
	rate := float64(done-l.done) / past.Seconds()
	if l.rate > 0 {
		rate = 0.7*l.rate + 0.3*rate
	}
	*l = timeLeft{now, done, rate}
}

// of says what the rest of total takes, "" where that cannot be told yet.
func (l *timeLeft) of(total int64) string {
	if l.rate <= 0 || total <= l.done {
		return ""
	}
	left := time.Duration(float64(total-l.done) / l.rate * float64(time.Second))
	switch {
	case left < time.Minute:
		return "less than a minute left"
	case left < 90*time.Second:
		return "about a minute left"
	case left < 2*time.Hour:
		return fmt.Sprintf("about %d minutes left", int(left.Minutes()+0.5))
	}
	return fmt.Sprintf("about %d hours left", int(left.Hours()+0.5))
}
